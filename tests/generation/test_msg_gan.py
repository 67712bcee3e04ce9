"""The generator and its discriminator: the published sizes, the shape of every scale, and gradient at each."""

import pytest
import torch
from transformers import AutoModel

from burst2vec import BurstGenerator, BurstGeneratorConfig
from burst2vec.generation.adversary import BurstDiscriminator, discriminator_loss, generator_loss, scales_of
from burst2vec.msg_gan import EqualisedConv2d

SMALL = {"channels": [8, 8, 6, 4], "latent_size": 12}  # up to 16 × 64
SCALES = [(2, 8), (4, 16), (8, 32), (16, 64), (32, 128), (64, 256), (128, 512)]


def weights(module):
    return sum(each.numel() for each in module.parameters())


@pytest.fixture
def generator():
    torch.manual_seed(0)
    return BurstGenerator(BurstGeneratorConfig(["Awe"], **SMALL))


@pytest.fixture
def discriminator():
    torch.manual_seed(1)
    return BurstDiscriminator(BurstGeneratorConfig(["Awe"], **SMALL))


@pytest.fixture(scope="module")
def published():
    """Both networks at full size, without memory for their weights."""
    config = BurstGeneratorConfig(["Awe"])
    with torch.device("meta"):
        return BurstGenerator(config), BurstDiscriminator(config)


def test_the_networks_have_as_many_weights_as_the_published_ones(published):
    assert [weights(network) for network in published] == [23_039_303, 18_730_625]


def test_each_scale_has_the_weights_that_its_layers_need(published):
    """Of both: k·k·in·out + out for each convolution, and for each image channels + 1, or 2 per feature."""
    generator, discriminator = published
    big, small = 512 * 512 * 9 + 512, 512 * 256 * 9 + 256
    of_blocks = [512 * 512 * 16 + 512 + big, *[2 * big] * 3, small + 256 * 256 * 9 + 256]
    of_blocks += [256 * 128 * 9 + 128 + 128 * 128 * 9 + 128, 128 * 64 * 9 + 64 + 64 * 64 * 9 + 64]
    assert [weights(block) for block in generator.blocks] == of_blocks
    assert [weights(layer) for layer in generator.to_image] == [513, 513, 513, 513, 257, 129, 65]
    equal = [2 * (size * size * 9 + size) for size in (256, 128, 64)]
    assert [weights(block) for block in discriminator.blocks] == [*[big + small] * 3, *equal]
    assert weights(discriminator.last) == 513 * 512 * 9 + 512 + 512 * 512 * 16 + 512 + 513
    assert [weights(layer) for layer in discriminator.from_image] == [512, 512, 512, 512, 256, 128, 128]


def test_the_published_generator_makes_seven_images_that_the_discriminator_takes(published):
    generator, discriminator = published
    output = generator(torch.empty(3, 512, device="meta"))
    assert [tuple(image.shape) for image in output.scales] == [(3, 1, *size) for size in SCALES]
    assert output.images is output.scales[-1] and generator.config.image_size == (128, 512)
    assert discriminator(output.scales).shape == (3,)


def test_every_scale_of_the_generator_gets_gradient(generator, discriminator):
    fake = generator(generator.draw(4)).scales
    for image in fake:
        image.retain_grad()
    real = scales_of(torch.randn(4, 1, 16, 64), 4)
    generator_loss(discriminator(real), discriminator(fake)).backward()
    assert all(image.grad.abs().max() > 0 for image in fake)
    assert all(each.grad.abs().max() > 0 for each in generator.parameters())


def test_every_scale_of_the_discriminator_gets_gradient_and_the_generator_none(generator, discriminator):
    with torch.no_grad():
        fake = generator(generator.draw(4)).scales
    discriminator_loss(discriminator(scales_of(torch.randn(4, 1, 16, 64), 4)), discriminator(fake)).backward()
    assert all(each.grad is not None and each.grad.isfinite().all() for each in discriminator.parameters())
    assert all(layer.weight.grad.abs().max() > 0 for layer in discriminator.from_image)
    assert all(each.grad is None for each in generator.parameters())


def test_the_loss_is_the_relativistic_average_hinge():
    real, fake = torch.randn(5), torch.randn(5)
    of_each = [max(0, 1 - (r - fake.mean().item())) for r in real.tolist()]
    of_each += [max(0, 1 + (f - real.mean().item())) for f in fake.tolist()]
    assert discriminator_loss(real, fake).item() == pytest.approx(sum(of_each) / 5, abs=1e-6)
    assert generator_loss(real, fake).item() == pytest.approx(discriminator_loss(fake, real).item())
    assert generator_loss(fake + 10, real) > 11 and discriminator_loss(real + 10, real - 10) == 0


def test_noise_of_any_norm_is_scaled_to_the_root_of_its_length(generator):
    generator.eval()
    latents = generator.draw(2)
    assert torch.allclose(generator(latents).images, generator(7 * latents).images, atol=1e-4)


def test_the_same_seed_draws_the_same_noise(generator):
    first, second = (generator.draw(2, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first, second) and first.shape == (2, 12)


def test_a_layers_output_keeps_its_scale_whatever_its_width():
    torch.manual_seed(0)
    for width in (4, 256):
        layer = EqualisedConv2d(width, 64, 3)
        assert layer.weight.std().item() == pytest.approx(1, abs=0.1)
        assert layer(torch.randn(4, width, 20, 20)).std().item() == pytest.approx(2**0.5, rel=0.15)


def test_real_scales_are_means_of_the_largest_image():
    image = torch.arange(16 * 64.0).reshape(1, 1, 16, 64)
    scales = scales_of(image, 4)
    assert [tuple(scale.shape[2:]) for scale in scales] == SCALES[:4] and scales[-1] is image
    assert scales[0][0, 0, 1, 2] == image[0, 0, 8:16, 16:24].mean()


def test_a_saved_generator_loads_by_automodel_bit_for_bit(generator, tmp_path):
    generator.save_pretrained(tmp_path)
    assert (tmp_path / "model.safetensors").is_file()
    loaded, latents = AutoModel.from_pretrained(tmp_path), generator.draw(2)
    assert isinstance(loaded, BurstGenerator) and loaded.config.emotions == ["Awe"]
    assert torch.equal(loaded(latents).images, generator.eval()(latents).images)


@pytest.mark.parametrize(
    "wrong, said",
    [
        ({"emotions": []}, "emotions must be one or more"),
        ({"emotions": ["Awe", "Awe"]}, "emotions must be one or more"),
        ({"channels": [8, 7, 4]}, "must be even"),
        ({"channels": []}, "channels must be"),
        ({"latent_size": 0}, "latent_size"),
    ],
)
def test_sizes_and_names_that_are_none_are_refused(wrong, said):
    with pytest.raises(ValueError, match=said):
        BurstGeneratorConfig(**{"emotions": ["Awe"], **wrong})
