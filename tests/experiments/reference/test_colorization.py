import numpy as np
import pytest

torch = pytest.importorskip("torch")

from reference.colorization import (
    CNN,
    MyConv2d,
    UNet,
    evaluate_step,
    gray,
    make_optimizer,
    most_likely,
    predict,
    predict_images,
    train_step,
)

NF, NC, K = 5, 7, 3


def count_weights(model: "torch.nn.Module") -> int:
    return sum(p.numel() for p in model.parameters())


def test_the_cnn_has_the_published_number_of_weights() -> None:
    formula = K**2 * (NC**2 + NC * NF + 8 * NF**2 + NF) + 4 * NC + 18 * NF
    assert count_weights(CNN(NF, NC, K)) == formula


def test_skip_connections_add_inputs_to_the_last_layers() -> None:
    # Layer 4 has 2·NF more input channels, layer 5 has NF more, layer 6 has the 3 of the image.
    more = K**2 * (2 * NF * NF + NF * NC + 3 * NC) + K**2 * 2 * NF  # layer 1 has 2 more
    assert count_weights(UNet(NF, NC, K, in_channels=3)) - count_weights(CNN(NF, NC, K)) == more


@pytest.mark.parametrize("dilation", [1, 2])
def test_convolutions_keep_the_size_and_have_initial_weights_within_the_limit(dilation: int) -> None:
    convolution = MyConv2d(4, 50, 3, dilation)
    assert convolution(torch.zeros(1, 4, 8, 12)).shape == (1, 50, 8, 12)
    for parameter in convolution.parameters():
        assert 0.9 / 6 < parameter.abs().max() <= 1 / 6  # 1/√(4·3²)


def test_the_taps_of_a_dilated_convolution_are_two_pixels_apart() -> None:
    convolution = MyConv2d(1, 1, 3, dilation=2)
    with torch.no_grad():
        convolution.weight.zero_()
        convolution.weight[0, 0, 0, 1] = 1  # above
        convolution.bias.fill_(0.5)
    x = torch.arange(16.0).reshape(1, 1, 4, 4)
    out = convolution(x)[0, 0].detach().numpy()
    np.testing.assert_array_equal(out[2:], x[0, 0, :2].numpy() + 0.5)
    np.testing.assert_array_equal(out[:2], 0.5)


def test_steps_reduce_the_loss_of_a_batch_and_evaluation_agrees() -> None:
    torch.manual_seed(0)
    model = UNet(4, 6)
    optimizer = make_optimizer(model, 1e-2)
    inputs, labels = torch.rand(2, 1, 8, 8), torch.randint(0, 6, (2, 8, 8))
    losses = [train_step(model, optimizer, inputs, labels).item() for _ in range(60)]
    assert losses[0] == pytest.approx(np.log(6), abs=0.4)
    assert losses[-1] < 0.6 * losses[0]
    model.eval()
    loss, accuracy = evaluate_step(model, inputs, labels)
    assert accuracy == (predict(model, inputs) == labels).float().mean()
    assert loss < losses[0]


def test_the_most_likely_color_is_the_argmax() -> None:
    logits = torch.rand(2, 6, 4, 4)
    np.testing.assert_array_equal(most_likely(logits), logits.argmax(dim=1))


def test_images_have_the_predicted_colors() -> None:
    torch.manual_seed(0)
    model = CNN(4, 6).eval()
    images = torch.randint(0, 256, (2, 8, 8, 3), dtype=torch.uint8)
    palette = torch.randint(0, 256, (6, 3), dtype=torch.uint8)
    mean = images.numpy().astype(np.float32).mean(-1) / 256
    np.testing.assert_allclose(gray(images)[:, 0], mean, rtol=1e-6)
    with torch.inference_mode():
        colored = predict_images(model, images, palette)
    np.testing.assert_array_equal(colored, palette[predict(model, gray(images))])
    assert colored.dtype == torch.uint8
