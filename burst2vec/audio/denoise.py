"""Noise down, by Ephraim and Malah's short-time spectral amplitude estimator, for clips that may start at once."""

import functools

import numpy as np
import scipy.fft
from scipy.special import i0e, i1e

from ..errors import WaveformError
from ..waveforms import SAMPLING_RATE
from .samples import check_rate, check_samples

SMOOTHING = 0.98  # alpha of Ephraim and Malah
FLOOR_DB = -25.0  # of the a-priori SNR
MIN_POSTERIOR = 1e-10  # -100 dB

HOP_SECONDS = 0.00675  # 108 samples at 16 kHz, and windows of 324 = 4 * 81: fast to transform
OVERLAP = 3  # hops in a window

# The noise estimate: our choices, by measurement (see noise_power).
QUANTILE = 0.3
OVERESTIMATE = 1.2
SMOOTHED_BINS = 9
MIN_FRAMES = 10
NOTHING = 1e-10  # of the clip's mean power in a bin: -100 dB, below which noise is not worth a thought

TABLE_STEPS = 4_096


def mmse_stsa(
    waveform,
    sampling_rate: int = SAMPLING_RATE,
    noise: np.ndarray | None = None,
    smoothing: float = SMOOTHING,
    floor_db: float = FLOOR_DB,
) -> np.ndarray:
    """Lower the noise in a clip by the estimator of Ephraim and Malah ("Speech enhancement using a minimum mean-square
    error short-time spectral amplitude estimator", IEEE Transactions on Acoustics, Speech, and Signal Processing 32(6),
    1984).

    In windows of 20 ms each frequency's amplitude is replaced by its estimate, ``mmse_stsa_gain`` times the noisy one,
    and the phase stays. The a-priori SNR is their decision-directed one (their Eq. 51),

        prior(n) = alpha A(n-1)^2 / noise + (1 - alpha) max(posterior(n) - 1, 0),    floored at -25 dB

    with A the amplitude estimated in the window before. In the first window prior = max(posterior - 1, 0): our choice,
    because a burst may start at once. The noise is taken to stand still over the clip, and is estimated from the clip
    itself, with or without a pause in it: see ``noise_power``. What comes and goes, such as other voices, it leaves.

    On 200 clips of EmoGator, by speakers that nothing was tuned on, it gained 8.2, 7.1 and 5.7 dB of segmental SNR
    over active frames in white noise of 0, 5 and 10 dB, and 1.2, 1.0 and 0.7 dB in babble (noisereduce at its defaults
    2.3, -0.2, -3.8 and 0.5, -2.0, -5.5; benchmarks/denoise.py). Its limit is a held note without a pause, a part of
    which it takes for noise: cut to where they are loud, the same clips lost 0.7 dB in babble of 10 dB.

    Args:
        waveform: float, shape (samples,), of any length.
        sampling_rate: in Hz, 4,000 to 192,000; the windows' length in seconds is the same at every rate.
        noise: float, shape (samples,): a stretch of the noise alone, at the same rate and level, 20 ms or longer; the
            noise's power is then the mean over it, and the clip is not asked.
        smoothing: alpha, above 0 and below 1; nearer to 1 it is smoother, and later at onsets.
        floor_db: least a-priori SNR, -100 to 0 dB. White noise alone is lowered by 17 dB at -25, by 10 dB at -10.

    Returns:
        float32, shape (samples,), aligned with the clip. Silence stays silent. Without ``noise`` a clip with less than
        10 whole windows that are not digital silence (80 ms) comes back as it is: so little does not tell noise from
        voice.

    Raises:
        WaveformError: clip or noise is not one channel of finite floats, or the noise is shorter than one window.
        ValueError: a rate, smoothing or floor outside its range.

    >>> hiss = 0.01 * np.random.default_rng(0).normal(size=16_000)
    >>> (mmse_stsa(hiss).std() / hiss.std()).round(2).item()  # -17 dB
    0.15
    """
    waveform = check_samples(waveform)
    check_rate(sampling_rate)
    if not 0.0 < smoothing < 1.0:
        raise ValueError(f"smoothing={smoothing}; allowed: above 0 and below 1, such as {SMOOTHING}")
    if not -100.0 <= floor_db <= 0.0:
        raise ValueError(f"floor_db={floor_db}; allowed: -100 to 0 dB")
    hop = round(HOP_SECONDS * sampling_rate)
    if noise is not None:
        noise = _check_noise(noise, OVERLAP * hop)
    peak = np.abs(waveform).max().astype(np.float64)
    if peak == 0.0:
        return waveform.copy()
    scale = peak if noise is None else max(peak, np.abs(noise).max().astype(np.float64))
    spectra = analyse((waveform / scale).astype(np.float32), hop)  # scaled, so that no power leaves float32
    power = power_of(spectra)
    if noise is None:
        level = noise_power(whole_windows(power, hop, waveform.size))
        if level is None:
            return waveform.copy()
    else:
        noise_powers = power_of(analyse((noise / scale).astype(np.float32), hop))
        level = whole_windows(noise_powers, hop, noise.size).mean(axis=0, dtype=np.float64)
    posterior = power / np.maximum(level, NOTHING * power.mean(dtype=np.float64) + np.finfo(np.float64).tiny)
    spectra *= decision_directed_gains(posterior, smoothing, 10 ** (floor_db / 10))
    return (synthesise(spectra, hop, waveform.size) * scale).astype(np.float32)


def mmse_stsa_gain(prior_snr, posterior_snr) -> np.ndarray:
    """The gain that makes a noisy amplitude the expected amplitude of the signal in it (Ephraim and Malah 1984,
    Eq. 7):

        G = Gamma(1.5) sqrt(v) / posterior exp(-v/2) [(1 + v) I0(v/2) + v I1(v/2)],    v = prior / (1 + prior) posterior

    With exponentially scaled Bessel functions nothing overflows. Towards no posterior SNR the gain grows without bound,
    as the estimate itself, G sqrt(posterior), goes to sqrt(pi prior / (1 + prior)) / 2: a power of 0 does not say that
    nothing is there. So posterior SNRs under -100 dB count as -100 dB.

    Args:
        prior_snr: power of the signal over that of the noise, ratios from 0 (not dB), any shape.
        posterior_snr: noisy power over that of the noise, likewise; the shapes broadcast.

    Returns:
        float64, from 0, finite; above 1 where the power is less than was to be expected.

    Raises:
        ValueError: a ratio that is negative, NaN or infinite.

    By hand: prior 1 and posterior 1 make v = 1/2, I0(1/4) = 1.01569 and I1(1/4) = 0.12598, and so G = 0.88623 * 0.70711
    * 0.77880 * (1.5 * 1.01569 + 0.5 * 0.12598) = 0.7743, where Wiener's gain is 1/2:

    >>> float(mmse_stsa_gain(1.0, 1.0).round(4))
    0.7743
    """
    prior, posterior = np.asarray(prior_snr, dtype=np.float64), np.asarray(posterior_snr, dtype=np.float64)
    for name, snr in {"prior_snr": prior, "posterior_snr": posterior}.items():
        wrong = ~((snr >= 0.0) & (snr < np.inf))
        if wrong.any():
            raise ValueError(f"{name}: {snr[wrong][0]}; allowed: ratios of powers, finite and from 0 (not in dB)")
    posterior = np.maximum(posterior, MIN_POSTERIOR)
    wiener = prior / (1.0 + prior)
    return np.sqrt(wiener / posterior) * _amplitude(wiener * posterior)


def _amplitude(v):
    """G sqrt(posterior) / sqrt(prior / (1 + prior)): all of Eq. 7 that depends on v alone; sqrt(pi) / 2 at v = 0."""
    return np.sqrt(np.pi) / 2 * ((1.0 + v) * i0e(v / 2) + v * i1e(v / 2))


def noise_power(power: np.ndarray) -> np.ndarray | None:
    """The power of a steady noise in each bin, from a clip that may be full of voice.

    In each bin it is a low quantile over time, here the k-th smallest of n powers. Those of Gaussian noise are
    exponentially distributed, and their k-th smallest expects the sum of 1/(n-i), i = 0 … k-1, times the mean; so it is
    divided by that. Then the logarithm is smoothed over 9 bins (0.4 kHz), where a held voice leaves valleys between its
    harmonics, and the noise is taken for 1.2 times as strong.

    All of it our choice, by the mean gain in segmental SNR over 40 clips of the first 30 of EmoGator's 60 speakers at
    hand, whole and cut to where they are loud, and by what clean clips lose. Gerkmann and Hendriks' tracking by speech
    presence probability (2012), started from such quantiles and run both ways, gained 3.4 dB instead of 4.0 in white
    noise of 0 dB. Without the smoothing over bins, mixtures cut to the burst lose 0.8 dB of their 6.7; a quantile of
    0.5 gains more in babble (0.7 instead of 0.5 dB), but takes bursts that fill their clip for noise.

    Args:
        power: of each window that lies wholly in the clip, float32, shape (frames, bins). Frames of digital silence,
            such as padding, do not count.

    Returns:
        float64, shape (bins,), above 0; None with under 10 frames, too few to tell.

    Of ten equal powers the third is 1, expected at 1/10 + 1/9 + 1/8 = 0.336 of the noise's mean: 1.2 / 0.336 = 3.57.

    >>> noise_power(np.ones((10, 163), np.float32))[0].round(2).item()
    3.57
    """
    power = power[power.any(axis=1)]
    frames = len(power)
    if frames < MIN_FRAMES:
        return None
    rank = round(QUANTILE * frames)
    smallest = np.partition(power, rank - 1, axis=0)[rank - 1].astype(np.float64)
    level = smallest * OVERESTIMATE / (1.0 / (frames - np.arange(rank))).sum()
    level = np.log(np.maximum(level, NOTHING * power.mean(dtype=np.float64)))
    weights = np.hanning(SMOOTHED_BINS + 2)[1:-1]
    level = np.pad(level, SMOOTHED_BINS // 2, mode="reflect")
    return np.exp(np.convolve(level, weights / weights.sum(), mode="valid"))


def decision_directed_gains(posterior: np.ndarray, smoothing: float, floor: float) -> np.ndarray:
    """Gains of all windows, one after the other: Eq. 51 and Eq. 7 in terms of the estimated power over the noise's,

        estimate = G^2 posterior = W (v + excess(v)),    W = prior / (1 + prior),  v = W posterior

    where the excess, from pi/4 at v = 0 down to 1/2, comes from a table: the Bessel functions of a window's 163 bins
    would take 25 us, and all that is done here takes 13.

    Args:
        posterior: noisy power over the noise's, float64, shape (frames, bins).
        smoothing: alpha.
        floor: least a-priori SNR, as a ratio.

    Returns:
        float32, shape (frames, bins).
    """
    posterior = np.maximum(posterior, MIN_POSTERIOR)
    boosts = (1 - smoothing) * np.maximum(posterior - 1, 0) + 1
    scaled = smoothing * posterior
    lines = smoothing * excess_lines()
    # All is kept times alpha, and the prior plus 1, which saves two calls of 15. Scalars are arrays, and results go
    # where there is room: so a call takes half as long.
    bins = posterior.shape[1]
    one, alpha, least, steps = (np.full(bins, x) for x in (1.0, smoothing, 1 + floor, smoothing * TABLE_STEPS))
    wiener, v, place = np.empty((3, bins))
    cell, line = np.empty(bins, dtype=np.intp), np.empty(bins, dtype=lines.dtype)
    estimates = np.empty_like(posterior)
    previous = smoothing * np.maximum(posterior[0] - 1, 0)
    for estimate, noisy, boost in zip(estimates, scaled, boosts, strict=True):
        np.add(previous, boost, out=wiener)
        np.maximum(wiener, least, out=wiener)  # prior + 1
        np.reciprocal(wiener, out=wiener)
        np.subtract(one, wiener, out=wiener)
        np.multiply(wiener, noisy, out=v)
        np.add(v, alpha, out=place)
        np.divide(steps, place, out=place)  # TABLE_STEPS / (1 + v)
        cell[:] = place
        lines.take(cell, out=line, mode="clip")
        place *= line.imag
        v += place
        v += line.real
        np.multiply(v, wiener, out=estimate)
        previous = estimate
    return np.sqrt(estimates / scaled).astype(np.float32)


@functools.cache
def excess_lines() -> np.ndarray:
    """``_amplitude(v)`` squared less v, from 1/2 to pi/4, as straight lines between 4,097 even steps of 1 / (1 + v).

    Returns:
        complex128, shape (4097,), because one look-up of a pair takes half the time of two: where x = 4096 / (1 + v)
        lies from n to n + 1, the excess is the real part of the n-th plus x times its imaginary part; off by 3e-9 of
        the whole at most.
    """
    steps = np.arange(TABLE_STEPS + 1)
    v = TABLE_STEPS / steps[1:] - 1
    excess = np.append(0.5, _amplitude(v) ** 2 - v)  # 1/2 is its limit
    slopes = np.append(np.diff(excess), 0.0)
    return excess - slopes * steps + 1j * slopes


def analyse(waveform: np.ndarray, hop: int) -> np.ndarray:
    """Spectra of overlapping windows, the first ending and the last beginning within a hop of the clip's ends.

    Args:
        waveform: float32, shape (samples,).
        hop: samples from a window to the next; a window has three.

    Returns:
        complex64, shape (ceil(samples / hop) + 2, bins).
    """
    window = sqrt_hann(hop)
    frames = -(-waveform.size // hop) + OVERLAP - 1
    padded = np.zeros((frames + OVERLAP - 1) * hop, dtype=np.float32)
    padded[window.size - hop :][: waveform.size] = waveform
    return scipy.fft.rfft(np.lib.stride_tricks.sliding_window_view(padded, window.size)[::hop] * window, axis=1)


def synthesise(spectra: np.ndarray, hop: int, samples: int) -> np.ndarray:
    """The waveform, float32, shape (samples,), of what ``analyse`` gave: the same one, where nothing was changed."""
    window = sqrt_hann(hop)
    pieces = scipy.fft.irfft(spectra, window.size, axis=1) * (window * np.float32(2 / OVERLAP))
    pieces = pieces.reshape(-1, OVERLAP, hop)
    waveform = np.zeros((len(pieces) + OVERLAP - 1, hop), dtype=np.float32)
    for part in range(OVERLAP):
        waveform[part : part + len(pieces)] += pieces[:, part]
    return waveform.reshape(-1)[window.size - hop :][:samples]


@functools.cache
def sqrt_hann(hop: int) -> np.ndarray:
    """The root of a Hann window of three hops: its square, shifted by hops, adds up to 3/2 everywhere."""
    return np.sin(np.pi * np.arange(OVERLAP * hop) / (OVERLAP * hop)).astype(np.float32)


def whole_windows(power: np.ndarray, hop: int, samples: int) -> np.ndarray:
    """Those that hold nothing of the zeros before and after the clip."""
    return power[OVERLAP - 1 : samples // hop]


def power_of(spectra: np.ndarray) -> np.ndarray:
    return spectra.real**2 + spectra.imag**2


def _check_noise(noise, window: int) -> np.ndarray:
    try:
        noise = check_samples(noise)
    except WaveformError as error:
        raise WaveformError(f"noise: {error}") from error
    if noise.size < window:
        raise WaveformError(f"noise: {noise.size} samples; allowed: from one window, {window} samples")
    return noise
