"""Break formulas and constants one by one, and check that a test fails: `python tests/mutate.py`.

Each mutation replaces a piece of a line in a copy of the repository and runs the tests named beside it. A
mutation is killed if they fail. The script prints the survivors, and exits with status 1 if more than a tenth
of the mutations survive. `python tests/mutate.py WORD…` runs the mutations whose path or replacement contains a WORD.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]


class Mutation(NamedTuple):
    """A replacement in a file of jaxcolor/, and the tests below tests/ that must notice it."""

    path: str
    original: str
    mutated: str
    tests: str


M = Mutation
MUTATIONS = [
    # Layers
    M("layers/conv/__init__.py", "limit = fan_in**-0.5", "limit = fan_in**-1", "layers/conv/test_conv.py"),
    M("layers/conv/__init__.py", "in_channels * self.kernel_size**2", "in_channels * self.kernel_size", "layers/conv/test_conv.py"),
    M("layers/conv/__init__.py", "jnp.zeros_like(bias)", "bias", "layers/conv/test_conv.py"),
    M("layers/conv/plain.py", "reach = dilation * (size // 2)", "reach = size // 2", "layers/conv/test_plain.py"),
    M("layers/conv/plain.py", "out = bias\n", "out = 0 * bias\n", "layers/conv/test_plain.py"),
    M("layers/conv/squares.py", "[[1, 1, 0], [1, 0, 0]]", "[[1, 0, 0], [1, 0, 0]]", "layers/conv/test_squares.py"),
    M("layers/conv/cpu.py", "[::-1, ::-1].swapaxes(2, 3)\n    around", ".swapaxes(2, 3)\n    around", "layers/conv/test_cpu.py"),
    M("layers/conv/cpu.py", "size, padding, dilation)[::-1, ::-1].swapaxes(2, 3)", "size, padding, dilation).swapaxes(2, 3)", "layers/conv/test_cpu.py"),
    M("layers/conv/cpu.py", "return sum(outs[1:], outs[0]) + bias", "return sum(outs[1:], outs[0])", "layers/conv/test_cpu.py"),
    M("layers/conv/cpu.py", "    return [x]\n", "    return [x, x]\n", "layers/conv/test_cpu.py"),
    M("layers/conv/general.py", "if abs(down) >= height or abs(right) >= width:", "if abs(down) >= height - 1 or abs(right) >= width:", "layers/conv/test_general.py"),
    M("layers/conv/general.py", "dilation * (tap - size // 2)", "dilation * (tap - size // 2) + 1", "layers/conv/test_general.py"),
    M("layers/norm.py", "momentum: float = 0.9", "momentum: float = 0.99", "layers/test_norm.py"),
    M("layers/norm.py", "epsilon: float = 1e-5", "epsilon: float = 1e-3", "layers/test_norm.py models/test_unet.py"),
    M("layers/norm.py", "jnp.maximum(count - 1, 1)", "jnp.maximum(count, 1)", "layers/test_norm.py"),
    M("layers/norm.py", "count = count * self.repeats", "count = count * 1", "layers/test_norm.py"),
    M("layers/norm.py", "mean + missing_bias", "mean", "layers/test_norm.py"),
    M("layers/norm.py", "running_mean.value - missing_bias", "running_mean.value", "layers/test_norm.py"),
    M("layers/norm.py", "valid.sum() * pixels", "valid.shape[0] * pixels", "layers/test_norm.py"),
    M("layers/conv_norm.py", "return total // 2, total - total // 2", "return total - total // 2, total // 2", "layers/test_conv_norm.py"),
    M("layers/conv_norm.py", "kernel = (kernel * multiplier)", "kernel = (kernel / multiplier)", "layers/test_conv_norm.py"),
    M("layers/resize.py", "(a + b + c + d) / 4", "(a + b + c + d) / 2", "layers/test_resize.py"),
    M("layers/resize.py", "return jnp.where(a >= b, a, b)", "return jnp.where(a > b, a, b)", "layers/test_resize.py"),
    M("layers/resize.py", "(np.arange(new) + 0.5) * old / new - 0.5", "np.arange(new) * old / new", "layers/test_resize.py"),
    M("layers/losses.py", "losses.mean(axis=(1, 2)) * weights", "losses.sum(axis=(1, 2)) * weights", "layers/test_losses.py"),
    M("layers/losses.py", "weights = gradient * weights", "weights = weights", "layers/test_losses.py"),
    M("layers/losses.py", "classes < labels[:, None]", "classes <= labels[:, None]", "layers/test_losses.py"),
    # Annotations
    M("annotations/run_lengths.py", "-region.area)", "region.area)", "annotations/test_coco.py"),
    M("annotations/run_lengths.py", "region.label != VOID, ", "", "annotations/test_coco.py"),
    M("annotations/run_lengths.py", "if len(runs) > 2 else 0", "if len(runs) > 1 else 0", "annotations/test_coco.py"),
    M("annotations/run_lengths.py", "value -= 1 << shift", "value -= 0", "annotations/test_coco.py"),
    M("annotations/run_lengths.py", "or sum(counts) != size[0] * size[1]", "", "annotations/test_coco.py"),
    M("annotations/coco.py", 'VOID if annotation.get("iscrowd") else', "", "annotations/test_coco.py"),
    M("annotations/coco.py", "in sorted(categories.items())", "in categories.items()", "annotations/test_coco.py"),
    M("annotations/images.py", "6: Image.Transpose.ROTATE_270", "6: Image.Transpose.ROTATE_90", "annotations/test_coco.py"),
    M("annotations/images.py", "5: Image.Transpose.TRANSPOSE", "5: Image.Transpose.TRANSVERSE", "annotations/test_coco.py"),
    M("annotations/json_files.py", "OUTSIDE = 1 ", "OUTSIDE = 0 ", "annotations/test_coco.py"),
    M("annotations/labelme.py", "int(bottom - top) + 1", "int(bottom - top)", "annotations/test_labelme.py"),
    M("annotations/labelme.py", "radius = math.dist((x, y), edge)", "radius = math.dist((x, y), edge) - 1", "annotations/test_labelme.py"),
    M("annotations/labelme.py", "(round(left), round(top))", "(int(left), int(top))", "annotations/test_labelme.py"),
    M("annotations/voc_folder.py", "name.casefold() not in self._taken", "name not in self._taken", "annotations/test_voc_folder.py"),
    M("annotations/conversion.py", "if other := self._users.get(file):", "if (other := self._users.get(file)) and False:", "annotations/test_conversion.py"),
    M("files.py", "shutil.rmtree(folder, ignore_errors=True)", "pass", "test_files.py"),
    # Networks
    M("models/cnn.py", 'repeats=4 if self.resize == "double" else 1', "repeats=1", "models/test_cnn.py"),
    M("models/cnn.py", "block(2 * self.filters, resize=\"halve\", name=\"layer2\")", "block(self.filters, resize=\"halve\", name=\"layer2\")", "models/test_unet.py"),
    M("models/unet.py", "up5 = concatenate([out1, out4])", "up5 = concatenate([out4, out1])", "models/test_unet.py"),
    M("models/unet.py", "dilation=self.dilation, name=\"layer3\"", "dilation=1, name=\"layer3\"", "models/test_unet.py"),
    M("models/heads.py", "RATES = (12, 24, 36)", "RATES = (6, 12, 18)", "models/test_segmentation.py"),
    M("models/segmentation.py", "rate * 8 // self.output_stride", "rate", "models/test_segmentation.py"),
    M("models/efficientnet.py", "0.9 * features", "0.8 * features", "models/test_efficientnet.py"),
    M("models/resnet.py", "self.next_dilation, activation", "1, activation", "models/test_resnet.py"),
    M("models/resnet.py", "constant_values=-jnp.inf", "constant_values=0", "models/test_resnet.py"),
    # Training
    M("training/batches.py", "valid[len(order) :] = 0", "valid[len(order) :] = 1", "training/test_batches.py"),
    M("training/batches.py", '(seed, epoch) if shuffle == "epoch" else (seed,)', "(seed,)", "training/test_batches.py"),
    M("training/checkpoints.py", 'best_mode="min"', 'best_mode="max"', "training/test_checkpoints.py"),
    M("training/freezing.py", "re.fullmatch", "re.search", "training/test_freezing.py"),
    M("training/freezing.py", "leaves[path] if self(path) else leaf", "leaves.get(path, leaf)", "training/test_freezing.py segmentation/test_task.py"),
    M("training/state.py", "step=self.step + 1", "step=self.step", "training/test_state.py"),
    M("training/engine.py", "latest = {name: values.sum(axis=0)", "latest = {name: values[0]", "training/test_engine.py"),
    M("training/fit.py", "run.rewind(done or -1)", "run.rewind(done)", "training/test_fit.py"),
    # Colorization
    M("colorization/preprocess.py", "astype(jnp.float32) / 256", "astype(jnp.float32) / 255", "colorization/test_preprocess.py"),
    M("colorization/preprocess.py", "(red + green + blue) / 3", "0.299 * red + 0.587 * green + 0.114 * blue", "colorization/test_preprocess.py"),
    M("colorization/palette.py", "np.round(np.asarray(colors) * 256)", "np.round(np.asarray(colors) * 255)", "colorization/test_palette.py"),
    M("colorization/palette.py", ".argmin(-1)", ".argmax(-1)", "colorization/test_palette.py"),
    M("colorization/palette.py", "palette.sum(axis=1).argsort()", "(-palette.sum(axis=1)).argsort()", "colorization/test_palette.py"),
    M("colorization/task.py", "valid / valid.sum()", "valid / len(valid)", "colorization/test_task.py"),
    M("colorization/task.py", '"loss": loss * count, "count": count', '"loss": loss, "count": count', "colorization/test_task.py"),
    M("image_scores.py", "spread + 0.3 * distance", "spread + distance", "test_image_scores.py"),
    M("colorization/scores.py", "dtype=np.uint16) + 1) // 3", "dtype=np.uint16)) // 3", "colorization/test_scores.py"),
    M("colorization/scores.py", "return of_level.argmax(axis=1)[nearest]", "return of_level.argmax(axis=1)", "colorization/test_scores.py"),
    M("colorization/job.py", "optax.adam(config.learning_rate)", "optax.adam(2 * config.learning_rate)", "experiments/analysis/test_trainings.py"),
    M("colorization/job.py", '"more" if ours > theirs else "fewer"', '"fewer" if ours > theirs else "more"', "colorization/test_scores.py"),
    M("colorization/predictor.py", "(0, -height % STEP), (0, -width % STEP)", "(-height % STEP, 0), (-width % STEP, 0)", "colorization/test_predictor.py"),
    # Segmentation
    M("segmentation/job.py", "1 / np.sqrt(np.maximum(frequency, 1e-12))", "1 / np.maximum(frequency, 1e-12)", "segmentation/test_job.py::test_class_weights_are_one_over_the_root_of_the_frequency"),
    M("segmentation/job.py", "(frequency * weights).sum()", "weights.sum()", "segmentation/test_job.py::test_class_weights_are_one_over_the_root_of_the_frequency"),
    M("training/optimizers.py", "POLY_POWER = 0.9", "POLY_POWER = 0.3", "training/test_optimizers.py::test_the_learning_rate_of_each_step"),
    M("segmentation/job.py", "best = order[::-1][:SAMPLES]", "best = order[:SAMPLES]", "segmentation/test_job.py::test_samples_are_spread_best_and_worst_without_repetition"),
    M("segmentation/job.py", "counts[:VOID].sum()", "counts.sum()", "segmentation/test_job.py::test_class_weights_are_one_over_the_root_of_the_frequency"),
    M("segmentation/task.py", "AUX_WEIGHT = 0.5", "AUX_WEIGHT = 0.05", "segmentation/test_task.py"),
    M("segmentation/task.py", "jax.random.fold_in(jax.random.key(seed), state.step)", "jax.random.key(seed)", "segmentation/test_task.py"),
    M("segmentation/task.py", "astype(jnp.int32) * classes, 0)", "astype(jnp.int32) * (classes - 1), 0)", "segmentation/test_task.py"),
    M("segmentation/task.py", "place + large.argmax(-1).ravel()", "place + large.argmin(-1).ravel()", "segmentation/test_task.py"),
    M("segmentation/task.py", "jax.nn.logsumexp(logits, axis=-1) - chosen", "-chosen", "segmentation/test_task.py"),
    M("segmentation/task.py", 'Trainable(r"head/classifier/.*")', 'Trainable(r"head/.*")', "segmentation/test_task.py"),
    M("segmentation/scores.py", "iou = correct / (true + predicted - correct)", "iou = correct / (true + predicted)", "segmentation/test_scores.py"),
    M("segmentation/scores.py", "accuracy = correct / true", "accuracy = correct / predicted", "segmentation/test_scores.py"),
    M("pretrained/imagenet.py", "MEAN = (0.485, 0.456, 0.406)", "MEAN = (0.5, 0.5, 0.5)", "pretrained/test_imagenet.py"),
    M("pretrained/imagenet.py", "STANDARD_DEVIATION = (0.229, 0.224, 0.225)", "STANDARD_DEVIATION = (0.225, 0.224, 0.229)", "pretrained/test_imagenet.py"),
    M("segmentation/batches.py", "image[:, ::-1], label_map[:, ::-1]", "image[:, ::-1], label_map", "segmentation/test_batches.py"),
    M("segmentation/loader.py", "rng.random(self.images) < 0.5", "rng.random(self.images) < 0.05", "segmentation/test_loader.py"),
    # Data
    M("data/cifar10.py", "reshape(3, SIDE, SIDE).transpose(1, 2, 0)", "reshape(SIDE, SIDE, 3)", "data/test_cifar10.py"),
    M("data/photographs.py", "TRAIN_SHARE = 0.75", "TRAIN_SHARE = 0.5", "data/test_photographs.py"),
    M("pretrained/keys.py", "KERNEL = (2, 3, 1, 0)", "KERNEL = (3, 2, 1, 0)", "pretrained/test_networks.py"),
]  # fmt: skip


def run(mutation: Mutation, copy: Path) -> bool:
    """Apply a mutation to a copy of the repository, and return whether a test failed."""
    target = copy / "jaxcolor" / mutation.path
    source = target.read_text()
    if mutation.original not in source:
        raise SystemExit(f"{mutation.path} has no {mutation.original!r}: update the list")
    target.write_text(source.replace(mutation.original, mutation.mutated, 1))
    paths = [
        f"tests/{path}" for path in mutation.tests.split() if (copy / "tests" / path.split("::")[0]).exists()
    ]
    options = ["-x", "-q", "-n0", "-m", "not slow", "-p", "no:cacheprovider", "--no-header", "--durations=0"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *paths],
        cwd=copy, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(copy)},
    )  # fmt: skip
    target.write_text(source)
    if done.returncode not in (0, 1, 2):
        raise SystemExit(f"pytest failed for {mutation.path}: {done.stdout[-500:]}{done.stderr[-500:]}")
    return done.returncode != 0


def main(words: list[str]) -> None:
    """Run the mutations that contain one of the words, or all, two at a time."""
    chosen = [m for m in MUTATIONS if not words or any(word in m.path + m.mutated for word in words)]
    with tempfile.TemporaryDirectory() as folder:
        copies = [Path(folder, str(i)) for i in range(2)]
        for copy in copies:
            for part in ("jaxcolor", "experiments", "tests", "docs"):
                shutil.copytree(ROOT / part, copy / part)
            shutil.copy(ROOT / "pyproject.toml", copy)

        def share(number: int) -> list[Mutation]:
            survivors = []
            for mutation in chosen[number::2]:
                killed = run(mutation, copies[number])
                change = f"{mutation.original.strip()!r} → {mutation.mutated.strip()!r}"
                print(f"{'killed' if killed else 'SURVIVED'}  {mutation.path}: {change}", flush=True)
                survivors += [] if killed else [mutation]
            return survivors

        with ThreadPoolExecutor(2) as pool:
            survivors = [mutation for part in pool.map(share, range(2)) for mutation in part]
    killed = len(chosen) - len(survivors)
    print(f"{killed} of {len(chosen)} mutations killed ({100 * killed / len(chosen):.0f} %)")
    if killed < 0.9 * len(chosen):
        sys.exit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
