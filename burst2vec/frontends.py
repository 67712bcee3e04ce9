"""Waveforms → a spectrum: log-mel, and learnable spectro-temporal receptive fields over it.

Both have the same face: ``size`` bins a frame, ``count_frames(samples)``, ``estimate_statistics(clips)``, and a forward
from waveforms to a spectrum and its frame mask. There is no centring and no padding in time: frame t is of the samples
160·t to 160·t + 399 and nothing else, so a clip gives the same frames alone and among longer ones.
"""

import functools
import math

import torch
import torch.nn.functional as F
from torch import nn
from transformers import initialization as init

from .graphs import becomes_a_graph
from .waveforms import MAX_SAMPLES, MIN_SAMPLES, SAMPLING_RATE, check_waveform

WINDOW_SAMPLES = 400  # 25 ms: the shortest burst is one frame
HOP_SAMPLES = 160  # 10 ms
FRAMES_PER_SECOND = SAMPLING_RATE // HOP_SAMPLES
FFT_SIZE = 512  # a bin every 31.25 Hz
ENERGY_FLOOR = 1e-10  # under what the rounding of 16-bit samples leaves in a channel, about 4e-10


class LogMel(nn.Module):
    """Logarithm of the energy in mel channels, normalised by one mean and variance a channel for all clips.

    For frame t and channel c, with w the periodic Hann window of 400 samples, zero-padded to 512, and M the
    filters of [`mel_filters`]:

        x[t, c] = (ln max(Σ_b M[b, c] · |FFT(w · clip[160·t : 160·t + 400])[b]|², floor) − mean[c]) / √variance[c]

    The buffers ``mean`` and ``variance`` are 0 and 1 until [`LogMel.estimate_statistics`] sets them; they are saved
    with the weights.

    Args:
        channels: how many.
        energy_floor: the least energy; what is below it, such as what a codec leaves of silence, is all the same.

    >>> log_mel = LogMel()
    >>> spectrum, frame_mask = log_mel(torch.zeros(2, 16000))
    >>> spectrum.shape, frame_mask
    (torch.Size([2, 98, 80]), None)
    >>> round(float(spectrum[0, 0, 0]), 2)  # silence is ln 1e-10 before normalisation
    -23.03
    """

    def __init__(self, channels: int = 80, energy_floor: float = ENERGY_FLOOR):
        super().__init__()
        if channels < 1:
            raise ValueError(f"channels is {channels}; a spectrum needs at least one")
        if not 0 < energy_floor < float("inf"):
            raise ValueError(
                f"energy_floor is {energy_floor}; the logarithm needs one above 0, such as {ENERGY_FLOOR:g}"
            )
        self.size, self.energy_floor = channels, energy_floor
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("variance", torch.ones(channels))

    def initialise(self) -> None:
        """Mean 0 and variance 1, as before any clip was measured."""
        init.zeros_(self.mean)
        init.ones_(self.variance)

    def count_frames(self, samples):
        """Frames of ``samples``, a number or an integer tensor: 400 give 1, 560 give 2, one second gives 98."""
        return (samples - WINDOW_SAMPLES) // HOP_SAMPLES + 1

    def forward(self, waveforms, attention_mask=None):
        """The spectrum of a batch.

        Args:
            waveforms: float (batch, samples) at 16 kHz, padded on the right; a NaN sample makes its frames NaN.
            attention_mask: integer (batch, samples), 1 where there is sound; None: every sample is.

        Returns:
            float32 spectrum (batch, frames, channels), 0 (a channel's mean) in frames that padding reaches into, and
            a boolean mask of the other frames (batch, frames), or None where all are valid.

        Raises:
            ValueError: a clip of under 400 samples or over 60 s; a mask that is not ones and then zeros.
        """
        lengths = valid_lengths(waveforms, attention_mask)
        with torch.autocast(waveforms.device.type, enabled=False):  # the energies span more than bfloat16 tells apart
            spectrum = (self.log_energies(waveforms) - self.mean.float()) / self.variance.float().sqrt()
        if lengths is None:
            return spectrum, None
        frame_mask = torch.arange(spectrum.shape[1], device=waveforms.device) < self.count_frames(lengths)[:, None]
        return spectrum.masked_fill(~frame_mask[..., None], 0.0), frame_mask

    def log_energies(self, waveforms):
        """The spectrum before normalisation: float (batch, samples) to float32 (batch, frames, channels)."""
        clips = waveforms.float().unfold(1, WINDOW_SAMPLES, HOP_SAMPLES)  # (batch, frames, 400)
        transform = torch.fft.rfft(clips * hann_window(waveforms.device), n=FFT_SIZE)
        power = transform.real.square() + transform.imag.square()  # abs() would take a root, only to square it
        return (power @ mel_filters(self.size, waveforms.device)).clamp(min=self.energy_floor).log()

    @torch.no_grad()
    def estimate_statistics(self, clips) -> None:
        """Set ``mean`` and ``variance`` from all frames of ``clips``, one clip in memory at a time.

        Sums and counts are float64, so the order and the grouping of clips do not matter; the variance divides by the
        number of frames. A channel that never varies (all clips silent) keeps variance 1: it is centred, not scaled.

        Args:
            clips: an iterable of waveforms (samples,) at 16 kHz, at the level at which the model will take them.

        Raises:
            ValueError: no clip; or a clip that cannot be a burst, by its place.
        """
        count, total, squares = 0, 0.0, 0.0
        for place, clip in enumerate(clips):
            waveform = torch.tensor(check_waveform(clip, f"clip {place}"), device=self.mean.device)
            energies = self.log_energies(waveform[None])[0].double()  # (frames, channels)
            count += energies.shape[0]
            total = total + energies.sum(dim=0)
            squares = squares + energies.square().sum(dim=0)
        if count == 0:
            raise ValueError("no clips to estimate mean and variance from; give the training clips")
        mean = total / count
        variance = squares / count - mean.square()
        self.mean.copy_(mean)
        # Where nothing varies, float64 leaves about 1e-13 of squares of about 500; sound varies by about 1.
        self.variance.copy_(variance.where(variance > 1e-9, 1.0))


class GaborSTRF(nn.Module):
    """Spectro-temporal receptive fields: a log-mel spectrum, correlated with kernels that each seek one ripple.

    The idea is Vuong, Xia and Stern's (2020), "Learnable spectro-temporal receptive fields for robust voice type
    discrimination", Interspeech: of each kernel only its rate ω (temporal modulation, Hz) and its scale Ω (spectral
    modulation, cycles per mel channel) are learned. Here, over t frames and f channels about a kernel's middle:

        kernel(t, f) = h(t; ω/100) · h(f; Ω) · exp(2πi · (ω/100 · t + Ω · f)) / √energy
        h(n; ν) = cos²(π · n / W) for |n| < W/2, else 0,     W = min(2 / |ν|, span + 1)

    and the real and the imaginary part are a map each. The rest is our choice. The Hann envelope h holds two cycles,
    because such a kernel is deaf to a constant, or all of the span where two cycles are longer: 61 frames (0.61 s; two
    cycles from 3.2 Hz up) by 21 channels, which a CPU can pay for. Ripples have a direction: rate and scale of one sign
    fall in frequency, of opposite signs rise. ``energy`` is Σ (h·h)², so that white noise excites every kernel equally.
    Every channel keeps its place in a map (Sharma et al. 2022, Eq. 2); ``channel_hop=4`` reads one in four, as
    neighbours say nearly the same, and takes a quarter of the maps' time and memory.

    Any real rate and scale are valid. On a grid, a frequency over half a cycle a step (50 Hz; 0.5 cycles per channel)
    *is* the one it aliases to, and the envelope is made for that one: kernels are continuous in both parameters, and
    none can get stuck at a bound. Scales are per channel because mel channels are no fixed part of an octave.

    Args:
        rates: initial rates in Hz; every pair of a rate and a scale is a kernel.
        scales: initial scales in cycles per channel. With the defaults: 32 kernels, 64 maps.
        span_frames: support in time, odd.
        span_channels: support in frequency, odd.
        channel_hop: channels from one place of a kernel to the next; 1 keeps all of them.
        channels: of the log-mel spectrum below.

    >>> strf = GaborSTRF()
    >>> {name: tuple(values.shape) for name, values in strf.named_parameters()}
    {'rate': (32,), 'scale': (32,)}
    >>> spectrum, frame_mask = strf(torch.randn(2, 16000))
    >>> spectrum.shape  # 64 maps of 80 places
    torch.Size([2, 98, 5120])
    >>> one = GaborSTRF(rates=(25.0,), scales=(0.25,), span_frames=3, span_channels=1)
    >>> one.kernels().shape  # envelope cos²(π · t/4): ½, 1, ½, of energy 1.5; a quarter of a cycle a frame
    torch.Size([2, 3, 1])
    >>> (one.kernels().squeeze(-1) * 1.5**0.5).round(decimals=4).abs().tolist()  # (0, 1, 0) and (−½, 0, ½)
    [[0.0, 1.0, 0.0], [0.5, 0.0, 0.5]]
    """

    CYCLES = 2  # in an envelope

    def __init__(
        self,
        rates=(2.0, 4.0, 8.0, 16.0),
        scales=(-0.25, -0.125, -0.0625, -0.03125, 0.03125, 0.0625, 0.125, 0.25),
        span_frames: int = 61,
        span_channels: int = 21,
        channel_hop: int = 1,
        channels: int = 80,
    ):
        super().__init__()
        for name, span in (("span_frames", span_frames), ("span_channels", span_channels)):
            if span < 1 or span % 2 == 0:
                raise ValueError(f"{name} is {span}; a kernel has a middle, so take an odd number such as {span + 1}")
        if channel_hop < 1:
            raise ValueError(f"channel_hop is {channel_hop}; take 1 for every channel, or more")
        for name, values, top, unit in (
            ("rates", rates, FRAMES_PER_SECOND / 2, "Hz"),
            ("scales", scales, 0.5, "cycles per channel"),
        ):
            if not len(values) or not all(-top <= value <= top for value in values):
                raise ValueError(f"{name} is {values}; give at least one, each within {-top:g} to {top:g} {unit}")
        self.initial_rates, self.initial_scales = tuple(rates), tuple(scales)
        self.span_frames, self.span_channels, self.channel_hop = span_frames, span_channels, channel_hop
        self.log_mel = LogMel(channels)
        rate, scale = self.initial_ripples()
        self.rate, self.scale = nn.Parameter(rate), nn.Parameter(scale)
        self.size = 2 * len(rate) * -(-channels // channel_hop)

    def initial_ripples(self):
        """Rates in Hz and scales in cycles per channel before training, each (kernels,): every pair once."""
        pairs = [(rate, scale) for rate in self.initial_rates for scale in self.initial_scales]
        return torch.tensor([float(rate) for rate, _ in pairs]), torch.tensor([float(scale) for _, scale in pairs])

    def initialise(self) -> None:
        """Rates and scales as before training."""
        rate, scale = self.initial_ripples()
        init.copy_(self.rate, rate)
        init.copy_(self.scale, scale)

    def count_frames(self, samples):
        """Frames of ``samples``: those of the log-mel spectrum."""
        return self.log_mel.count_frames(samples)

    def estimate_statistics(self, clips) -> None:
        """Set mean and variance of the log-mel spectrum below; see [`LogMel.estimate_statistics`]."""
        self.log_mel.estimate_statistics(clips)

    def forward(self, waveforms, attention_mask=None):
        """What the kernels find in a batch; arguments, mask and errors are those of [`LogMel.forward`].

        Returns:
            spectrum (batch, frames, size): the real maps of all kernels, then the imaginary ones, each with its places
            from low to high; 0 in frames that padding reaches into. And the frame mask.
        """
        spectrum, frame_mask = self.log_mel(waveforms, attention_mask)
        responses = self.respond(spectrum)
        if frame_mask is not None:
            responses = responses.masked_fill(~frame_mask[..., None], 0.0)
        return responses, frame_mask

    def respond(self, spectrum):
        """Correlate a spectrum (batch, frames, channels) with the kernels: (batch, frames, size).

        Beyond its edges in time and frequency the spectrum counts as 0, which is each channel's mean.
        """
        # The channels under a kernel become the inputs of a 1-D convolution over time: what conv2d would give, with its
        # forward pass as fast and its backward pass, on a CPU, twice as fast.
        margin = self.span_channels // 2
        patches = F.pad(spectrum, (margin, margin)).unfold(2, self.span_channels, self.channel_hop)
        places = patches.shape[2]
        patches = patches.permute(0, 2, 3, 1).flatten(0, 1)  # (batch · places, span_channels, frames)
        kernels = self.kernels().transpose(1, 2).to(spectrum.dtype)  # (maps, span_channels, span_frames)
        maps = F.conv1d(patches, kernels, padding=self.span_frames // 2)  # (batch · places, maps, frames)
        return maps.unflatten(0, (-1, places)).permute(0, 3, 2, 1).flatten(2)

    def kernels(self):
        """(2 · kernels, span_frames, span_channels): the real parts, then the imaginary parts."""
        dtype = torch.promote_types(self.rate.dtype, torch.float32)
        time_envelope, time_phase = self._ripple(self.rate.to(dtype) / FRAMES_PER_SECOND, self.span_frames)
        channel_envelope, channel_phase = self._ripple(self.scale.to(dtype), self.span_channels)
        envelope = time_envelope[:, :, None] * channel_envelope[:, None, :]
        envelope = envelope / envelope.square().sum(dim=(1, 2), keepdim=True).sqrt()
        phase = time_phase[:, :, None] + channel_phase[:, None, :]
        return torch.cat([envelope * phase.cos(), envelope * phase.sin()])

    def _ripple(self, frequency, span):
        """Envelope and phase along one axis, (kernels, span) each, of ``frequency`` (kernels,) in cycles a step."""
        frequency = (frequency - frequency.round())[:, None]  # what it aliases to, in −0.5..0.5
        steps = torch.arange(span, device=frequency.device, dtype=frequency.dtype) - span // 2
        # A lower bound on |frequency| and not an upper one on the width, whose gradient at 0 would be 0 · ∞.
        width = self.CYCLES / frequency.abs().clamp(min=self.CYCLES / (span + 1))
        inside = steps.abs() < width / 2
        envelope = torch.where(inside, (math.pi * steps / width).cos().square(), 0.0)
        return envelope, 2 * math.pi * frequency * steps


def valid_lengths(waveforms, attention_mask):
    """Samples of each clip (batch,), or None where no clip is padded; refuses what is no batch of bursts."""
    if waveforms.ndim != 2:
        raise ValueError(f"waveforms are {tuple(waveforms.shape)}, not (batch, samples); one clip is waveforms[None]")
    if attention_mask is None:
        lengths = torch.tensor([waveforms.shape[1]])
    elif attention_mask.shape != waveforms.shape:
        raise ValueError(f"attention_mask {tuple(attention_mask.shape)} is not of waveforms {tuple(waveforms.shape)}")
    else:
        lengths = attention_mask.sum(-1)
    if not torch.compiler.is_compiling() and not becomes_a_graph():
        wrong = (lengths < MIN_SAMPLES) | (lengths > MAX_SAMPLES)
        if bool(wrong.any()):
            row = int(wrong.nonzero()[0])
            raise ValueError(
                f"clip {row} of the batch has {int(lengths[row])} samples; {MIN_SAMPLES} to {MAX_SAMPLES} work"
            )
        if attention_mask is not None:
            if bool((attention_mask[:, 1:] > attention_mask[:, :-1]).any()):
                raise ValueError("attention_mask has a 1 after a 0; pad clips on the right, with padding_side='right'")
            if int(lengths.min()) == waveforms.shape[1]:
                return None
    return None if attention_mask is None else lengths


def random_spans(lengths, size: int, share: float) -> torch.Tensor:
    """One span in each row, boolean (batch, size): up to ``share`` of its length wide, anywhere within the length.

    ``lengths`` is (batch,). Every width from 0 to ⌊share · length⌋ is as likely, and so is every place for it.

    >>> random_spans(torch.tensor([4, 9]), 9, share=0.1).any().item()  # no whole frame to hide
    False
    """
    chances = torch.rand(2, len(lengths), device=lengths.device)
    widths = (chances[0] * ((share * lengths).floor() + 1)).floor()
    starts = (chances[1] * (lengths - widths + 1)).floor()
    places = torch.arange(size, device=lengths.device)
    return (places >= starts[:, None]) & (places < (starts + widths)[:, None])


# Constants are not buffers: from_pretrained would lose those that are not saved. They are made outside of inference
# mode, because a tensor from within it could not take part in a later training step.


@functools.lru_cache(maxsize=8)
def hann_window(device: torch.device) -> torch.Tensor:
    """Periodic Hann window of 25 ms, float32 (400,) on ``device``."""
    with torch.inference_mode(False):
        return torch.hann_window(WINDOW_SAMPLES, device=device)


@functools.lru_cache(maxsize=8)
def mel_filters(channels: int, device: torch.device) -> torch.Tensor:
    """Triangular filters of Slaney's Auditory Toolbox (1998), float32 (257, channels) on ``device``.

    Slaney's mel scale is 3 · f / 200 up to 1 kHz and 15 + 27 · ln(f / 1000) / ln 6.4 above; the filters' corners are
    equally spaced on it from 0 to 8 kHz, and each filter's area is 1 per Hz. Not HTK's scale: of 80 channels it makes
    the lowest narrower than the 31.25 Hz between bins, and leaves one without any.

    >>> filters = mel_filters(80, torch.device("cpu"))
    >>> filters.shape, bool((filters > 0).any(dim=0).all())
    (torch.Size([257, 80]), True)
    """
    with torch.inference_mode(False):
        top = 15 + 27 * math.log(SAMPLING_RATE / 2 / 1000) / math.log(6.4)
        mels = torch.linspace(0, top, channels + 2, dtype=torch.float64)
        corners = torch.where(mels < 15, mels * 200 / 3, 1000 * 6.4 ** ((mels - 15) / 27))  # Hz
        low, middle, high = corners[:-2], corners[1:-1], corners[2:]
        bins = torch.arange(FFT_SIZE // 2 + 1, dtype=torch.float64)[:, None] * SAMPLING_RATE / FFT_SIZE
        triangles = torch.minimum((bins - low) / (middle - low), (high - bins) / (high - middle)).clamp(min=0)
        return (2 * triangles / (high - low)).float().to(device)


FRONTENDS = {"log_mel": LogMel, "strf": GaborSTRF}
