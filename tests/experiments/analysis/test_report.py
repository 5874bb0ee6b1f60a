from analysis.report import Section, describe_images, minutes, report, show, spread, table

from jaxcolor.data.cifar10 import OFFICIAL_MD5


def test_table() -> None:
    assert table(["a", "b"], [[1, "2"]]) == "| a | b |\n| :-- | --: |\n| 1 | 2 |"


def test_minutes() -> None:
    assert [minutes(s) for s in (0.4, 59.4, 59.6, 605)] == ["0 s", "59 s", "1 min 00 s", "10 min 05 s"]


def test_shared_trainings_count_once_in_the_total() -> None:
    record = {
        "versions": {"jax": "0.0"},
        "device": "a device",
        "dataset": {"name": "sample", "train": 1000, "validation": 100},
    }
    sections = [Section("One", "text of one", 10, {"a": 60, "b": 30}), Section("Two", "…", 5, {"a": 60})]
    text = report(record, sections)
    assert "images: sample, 1,000 for training and 100 for validation" in text
    assert "official" not in text
    assert "## One\n\ntext of one" in text
    assert "| One | 2 | 1 min 40 s |" in text
    assert "| Two | 1 | 1 min 05 s |" in text
    assert "| all, shared trainings once | 2 | 1 min 45 s |" in text


def test_an_archive_of_ones_own_is_named() -> None:
    facts = {"name": "cifar10", "category": "horse", "archive_md5": "12ab", "train": 5000, "validation": 1000}
    assert "cifar10 horse, 5,000 for training" in describe_images(facts)
    assert describe_images(facts).endswith("not the official one (md5 12ab)")
    assert describe_images(facts | {"archive_md5": OFFICIAL_MD5}).endswith("1,000 for validation")


def test_a_report_without_images() -> None:
    record = {"versions": {"jax": "0.0"}, "device": "a device", "dataset": {}}
    assert "a device with JAX 0.0.\n" in report(record, [])


def test_mean_and_ends() -> None:
    assert spread([3.0, 1.0, 5.0]) == (3.0, 1.0, 5.0)
    assert show([1.5, 1.25]) == "1.375 (1.250–1.500)"
    assert show([0.48, 0.5], 1, percent=True) == "49.0 % (48.0–50.0)"
    assert show([1.5]) == "1.500"
