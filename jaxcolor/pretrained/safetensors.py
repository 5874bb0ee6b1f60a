"""The .safetensors files of Hugging Face's package safetensors."""

from pathlib import Path

import ml_dtypes  # noqa: F401 — NumPy knows bfloat16 with it
from safetensors import SafetensorError, safe_open

from jaxcolor.errors import UserError, reason
from jaxcolor.pretrained.state_dict import StateDict

FORMATS = ("F64", "F32", "F16", "BF16", "I64", "I32", "I16", "I8", "U8", "BOOL")


def read_safetensors(path: Path) -> StateDict:
    """Return the tensors of a .safetensors file.

    Raises `UserError` if the file is damaged or truncated, or holds tensors of another number format.
    """
    try:
        open(path, "rb").close()  # its error is clearer than that of safetensors
        with safe_open(path, framework="numpy") as file:
            keys = list(file.keys())
            for key in keys:
                if (kind := file.get_slice(key).get_dtype()) not in FORMATS:
                    raise UserError(
                        f"cannot read {path}: {key!r} has the number format {kind}; save the weights as "
                        "float32, float16 or bfloat16"
                    )
            arrays = {key: file.get_tensor(key) for key in keys}
    except OSError as error:
        raise UserError(f"cannot read {path}: {reason(error)}") from error
    except SafetensorError as error:
        raise UserError(
            f"cannot read {path} as safetensors: {reason(error)}; the file is damaged or of another format: "
            "save or download it again"
        ) from error
    if not arrays:
        raise UserError(f"{path} holds no tensors: save the weights with safetensors.torch.save_file")
    return StateDict(arrays, [], ())
