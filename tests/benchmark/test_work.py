import pytest

from jaxcolor.benchmark.work import multiply_adds, operations
from jaxcolor.colorization.models import CNN, UNet

NF, NC, K = 5, 7, 3


@pytest.mark.parametrize("scale", [1, 2])
def test_the_cnn_has_the_published_number_of_connections(scale: int) -> None:
    formula = K**2 * (1024 * NC**2 + 256 * NC * NF + 896 * NF**2 + 1024 * NF) * scale**2
    assert sum(multiply_adds(CNN(NF, NC, K), 32 * scale, 1).values()) == formula


def test_layers_of_the_unet_by_hand() -> None:
    assert multiply_adds(UNet(NF, NC, K), 8, 3) == {
        "layer1": 9 * 3 * 5 * 64,
        "layer2": 9 * 5 * 10 * 16,
        "layer3": 9 * 10 * 10 * 4,
        "layer4": 9 * 20 * 5 * 4,
        "layer5": 9 * 10 * 7 * 16,
        "layer6": 9 * (3 + 7) * 7 * 64,
    }


def test_a_train_step_spares_the_gradient_of_the_picture() -> None:
    layers = multiply_adds(CNN(NF, NC, K), 8, 1)
    forward = operations(CNN(NF, NC, K), 8, 1, train=False)
    assert forward == 2 * sum(layers.values())
    assert operations(CNN(NF, NC, K), 8, 1, train=True) == 3 * forward - 2 * layers["layer1"]
