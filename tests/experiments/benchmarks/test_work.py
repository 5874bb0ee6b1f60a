from benchmarks.work import operations

from jaxcolor.models.unet import CNN, UNet

NF, NC, K = 5, 7, 3


def test_a_forward_pass_is_two_operations_a_connection() -> None:
    connections = 1024 * NC**2 + 256 * NC * NF + 896 * NF**2 + 1024 * NF  # published, of the CNN
    assert operations(CNN(NF, NC, K), 32, 1, train=False) == 2 * K**2 * connections


def test_a_train_step_spares_the_gradient_of_the_image() -> None:
    model = UNet(NF, NC, K)
    first = 9 * 3 * 5 * 64
    forward = operations(model, 8, 3, train=False)
    assert operations(model, 8, 3, train=True) == 3 * forward - 2 * first
