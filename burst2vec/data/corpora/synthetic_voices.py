"""How a synthetic burst sounds: a source, a vocal tract, an envelope, and the tables that tie them to labels.

The voices are **invented**. No number below was measured on anyone: each was chosen so that labels can be told
apart by ear. A score on these voices says that a model can learn, and nothing about people, their emotions, ages
or countries.

    emotion ─▶ cues (EMOTION_CUES) ─┐
    age     ─▶ pitch, tract, hiss   ┼▶ source ─▶ formants ─▶ softness ─▶ hiss ─▶ envelope ─▶ microphone
    country ─▶ vowel, rhythm        ┘  pulses
    chance  ─▶ a bit of everything     or noise

Everything is vectorised over the samples of one clip, which takes some two milliseconds.
"""

from dataclasses import dataclass

import numpy as np
from scipy.signal import lfilter, sosfilt

from ...tasks import EXVO_EMOTIONS
from ...waveforms import SAMPLING_RATE

AGES_YEARS = (20.0, 39.5)  # HUME-VB's youngest and oldest speaker
SHORTEST_SECONDS, LONGEST_SECONDS = 0.5, 2.0

# Each cue: (with no emotion at all, least, most). Emotions add to the first; the sum is kept between the other two.
CUES = {
    "pitch": (0.0, -0.6, 1.3),  # octaves from the speaker's own pitch
    "slide": (0.0, -1.0, 1.0),  # octaves from the burst's start to its end
    "tremor": (0.0, 0.0, 0.3),  # octaves of trembling pitch, 8 times a second
    "breath": (0.1, 0.0, 1.0),  # fraction of noise in the source; the rest is glottal pulses
    "rough": (0.0, 0.0, 1.0),  # depth of a 70 Hz flutter of the source: a scream's harshness
    "jaw": (0.0, -0.6, 0.6),  # octaves of the first formant: an open mouth raises it
    "lips": (0.0, -0.8, 0.8),  # octaves of the second formant: round lips lower it, a smile raises it
    "bright": (0.0, -0.4, 0.4),  # less of the low-pass that softens every voice: a strained voice is brighter
    "hum": (0.0, 0.0, 1.0),  # fraction of sound through the nose: a murmur at 250 Hz, as in "mm"
    "laugh": (0.0, 0.0, 1.0),  # depth of pulses, 6 a second
    "sob": (0.0, 0.0, 1.0),  # depth of pulses, 2.5 a second
    "attack": (0.0, -3.0, 2.0),  # octaves of the time to full strength, from 60 ms
    "fade": (1.0, 0.0, 8.0),  # decay over the burst, in nepers
    "length": (0.0, -0.6, 1.0),  # octaves of duration, from 0.8 s
}

# By how much a cue differs from burst to burst at equal emotions: the standard deviation.
VARIATION = {"pitch": 0.08, "slide": 0.1, "jaw": 0.05, "lips": 0.05, "attack": 0.2, "length": 0.2}

# What an emotion of intensity 1 adds to the cues; half of it at 0.5. Read a row as a stage direction.
EMOTION_CUES = {
    "Awe": {"lips": -0.8, "attack": 1.5, "length": 0.3},  # a round "ooh", swelling
    "Excitement": {"pitch": 0.6, "slide": 0.7, "lips": 0.6},  # rising, smiling, high
    "Amusement": {"laugh": 1.0, "breath": 0.35, "jaw": 0.2, "lips": 0.15, "pitch": 0.2},  # "ha ha ha"
    "Awkwardness": {"hum": 1.0, "jaw": -0.2, "pitch": -0.1},  # "mm", through the nose
    "Fear": {"pitch": 1.0, "tremor": 0.3, "jaw": -0.3},  # high, tight and trembling
    "Horror": {"pitch": 0.9, "rough": 1.0, "jaw": 0.5, "bright": 0.15},  # a harsh, open scream
    "Distress": {"rough": 0.6, "slide": -0.6, "jaw": -0.4, "lips": 0.3},  # a groan that falls
    "Triumph": {"jaw": 0.6, "bright": 0.25, "attack": -1.0, "pitch": -0.3, "length": 0.2},  # an open, ringing "yeah"
    "Sadness": {"sob": 0.9, "hum": 0.3, "bright": -0.25, "slide": -0.5, "pitch": -0.4},  # dark, nasal, sinking sobs
    "Surprise": {"breath": 0.85, "attack": -3.0, "fade": 4.0, "length": -0.6},  # a gasp
}

# A country's mean formants in Hz and its rhythm, a shallow pulsing, in Hz. Invented, and far apart on purpose.
COUNTRY_VOWELS = {
    "China": (480.0, 2000.0, 2700.0),
    "South Africa": (620.0, 1050.0, 2600.0),
    "United States": (520.0, 1350.0, 1850.0),
    "Venezuela": (820.0, 1600.0, 2500.0),
}
COUNTRY_RHYTHM_HZ = {"China": 4.0, "South Africa": 1.5, "United States": 3.0, "Venezuela": 8.0}
HIGH_FORMANTS_HZ = (3500.0, 4500.0, 5600.0)  # the same everywhere: they tell the length of the tract, and so the age


@dataclass(frozen=True)
class Voice:
    """One invented speaker: what stays the same from burst to burst."""

    country: str
    age_years: float
    pitch_hz: float
    tract_scale: float  # multiplies every formant: above 1 is a short vocal tract
    hoarseness: float  # amplitude of hiss beside the voice, and wobble of the pitch
    softness: float  # pole of a low-pass, 0 bright to 0.9 dark
    vowel_hz: tuple[float, float, float]


def invent_voice(country: str, age_years: float, rng: np.random.Generator) -> Voice:
    """A speaker of a country and an age, with what is nobody's but theirs.

    From 20 to 39.5 years the pitch falls by 0.9 octaves, the vocal tract grows (formants fall by 0.4 octaves), and the
    voice turns soft and hisses. The country sets the vowel, and in ``envelope`` the rhythm.
    """
    youngest, oldest = AGES_YEARS
    grown = (age_years - youngest) / (oldest - youngest)  # 0..1
    return Voice(
        country=country,
        age_years=age_years,
        pitch_hz=300.0 * 2.0 ** (-0.9 * grown + 0.08 * rng.standard_normal()),
        tract_scale=2.0 ** (0.2 - 0.4 * grown + 0.02 * rng.standard_normal()),
        hoarseness=max(0.0, 0.45 * grown + 0.03 * rng.standard_normal()),
        softness=0.2 + 0.4 * grown + 0.04 * rng.standard_normal(),
        vowel_hz=tuple(np.array(COUNTRY_VOWELS[country]) * 2.0 ** (0.06 * rng.standard_normal(3))),
    )


def cues_of(intensities: np.ndarray) -> dict[str, float]:
    """The cues of a mixture of emotions: each adds its row of ``EMOTION_CUES`` in proportion.

    >>> cues_of(np.array([0, 0, 0.5, 0, 0, 0, 0, 0, 0.2, 0]))["laugh"]  # half amused, a little sad
    0.5
    """
    cues = {}
    for cue, (neutral, least, most) in CUES.items():
        added = sum(
            EMOTION_CUES[name].get(cue, 0.0) * value for name, value in zip(EXVO_EMOTIONS, intensities, strict=True)
        )
        cues[cue] = float(np.clip(neutral + added, least, most))
    return cues


def pitch_contour(seconds: np.ndarray, voice: Voice, cues: dict, rng: np.random.Generator) -> np.ndarray:
    """F0 in Hz at every sample: the speaker's pitch, raised, sliding, trembling, and wobbling with hoarseness."""
    along = seconds / seconds[-1] - 0.5
    tremor = cues["tremor"] * np.sin(2 * np.pi * (8.0 * seconds + rng.uniform()))
    knots = rng.standard_normal(int(seconds[-1] * 50) + 2)  # a new wobble every 20 ms
    wobble = 0.15 * voice.hoarseness * np.interp(seconds * 50, np.arange(knots.size), knots)
    return voice.pitch_hz * 2.0 ** (cues["pitch"] + cues["slide"] * along + tremor + wobble)


def glottal_pulses(pitch_hz: np.ndarray) -> np.ndarray:
    """The flow derivative of Klatt's glottal model: a parabola while the folds are open (60 % of a period), then rest.

    Scaled to unit variance at any pitch.
    """
    phase = np.cumsum(pitch_hz / SAMPLING_RATE)
    phase = (phase - np.floor(phase)) / 0.6  # 0..1 while open
    flow_slope = np.where(phase < 1.0, 2.0 * phase - 3.0 * phase**2, 0.0)
    return flow_slope / np.sqrt(0.6 * 2 / 15)


def source_of(pitch_hz: np.ndarray, breath: float, rough: float, rng: np.random.Generator) -> np.ndarray:
    """Glottal pulses and breath noise, in fractions that sum to 1 in power, fluttering 70 times a second when rough."""
    noise = rng.standard_normal(pitch_hz.size)
    source = np.sqrt(1.0 - breath) * glottal_pulses(pitch_hz) + np.sqrt(breath) * noise
    flutter = np.sin(2 * np.pi * 70.0 * np.arange(pitch_hz.size) / SAMPLING_RATE) > 0.0
    return source * (1.0 - rough * flutter)


def formants_of(voice: Voice, cues: dict) -> np.ndarray:
    """Formants in Hz: the country's vowel, opened by the jaw, moved by the lips, all scaled by the tract."""
    first, second, third = voice.vowel_hz
    moved = (first * 2.0 ** cues["jaw"], second * 2.0 ** cues["lips"], third, *HIGH_FORMANTS_HZ)
    return np.minimum(np.array(moved) * voice.tract_scale, 0.48 * SAMPLING_RATE)


def resonators(formants_hz: np.ndarray, bandwidths_hz: np.ndarray) -> np.ndarray:
    """Second-order resonators in cascade (Klatt 1980), each of gain 1 at 0 Hz, as scipy's second-order sections."""
    radius = np.exp(-np.pi * bandwidths_hz / SAMPLING_RATE)
    poles_1 = -2.0 * radius * np.cos(2 * np.pi * formants_hz / SAMPLING_RATE)
    poles_2 = radius**2
    zeros = np.zeros_like(radius)
    return np.stack([1.0 + poles_1 + poles_2, zeros, zeros, np.ones_like(radius), poles_1, poles_2], axis=1)


def unit_power(waveform: np.ndarray) -> np.ndarray:
    return waveform / np.sqrt(np.mean(waveform**2) + 1e-12)


def speak(source: np.ndarray, voice: Voice, cues: dict) -> np.ndarray:
    """The source through the mouth (formants) and, as far as it hums, through the nose; then softened."""
    formants_hz = formants_of(voice, cues)
    mouth = unit_power(sosfilt(resonators(formants_hz, 50.0 + 0.05 * formants_hz), source))
    nose = unit_power(sosfilt(resonators(np.array([250.0, 1000.0]), np.array([80.0, 300.0])), source))
    sound = np.sqrt(1.0 - cues["hum"]) * mouth + np.sqrt(cues["hum"]) * nose
    softness = np.clip(voice.softness - cues["bright"], -0.3, 0.95)
    return unit_power(lfilter([1.0 - softness], [1.0, -softness], sound))


def hiss(samples: int, rng: np.random.Generator) -> np.ndarray:
    """Noise of an old throat, of unit power, rising towards 8 kHz: it passes no formant, so no vowel hides it."""
    return lfilter(np.array([1.0, -2.0, 1.0]) / np.sqrt(6.0), [1.0], rng.standard_normal(samples))


def pulsing(seconds: np.ndarray, rate_hz: float, depth: float, start: float) -> np.ndarray:
    """Repeated pulses with silence between them: 1 throughout at depth 0, down to 0 between pulses at depth 1."""
    return 1.0 - depth * np.sin(np.pi * (rate_hz * seconds + start)) ** 2


def envelope(seconds: np.ndarray, voice: Voice, cues: dict, rng: np.random.Generator) -> np.ndarray:
    """Loudness: an attack, a fade, laughing and sobbing pulses, the country's rhythm, and a close within 30 ms."""
    attack_seconds = 0.06 * 2.0 ** cues["attack"]
    left = seconds[-1] - seconds
    shape = np.minimum(seconds / attack_seconds, 1.0) * np.minimum(left / 0.03, 1.0)
    shape *= np.exp(-cues["fade"] * seconds / seconds[-1])
    tempo = 2.0 ** (0.1 * rng.standard_normal())
    shape *= pulsing(seconds, 6.0 * tempo, cues["laugh"], rng.uniform())
    shape *= pulsing(seconds, 2.5 * tempo, cues["sob"], rng.uniform())
    return shape * pulsing(seconds, COUNTRY_RHYTHM_HZ[voice.country] * tempo, 0.4, rng.uniform())


def record(burst: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A microphone at home: background noise 20 to 40 dB below the burst, any level, peaks of 0.05 to 0.9."""
    noise = rng.standard_normal(burst.size) * 10.0 ** (-rng.uniform(20.0, 40.0) / 20.0)
    recorded = unit_power(burst) + noise
    return recorded * (0.05 * 18.0 ** rng.uniform() / np.abs(recorded).max())


def perform(voice: Voice, cues: dict, rng: np.random.Generator) -> np.ndarray:
    """One burst of a voice with every cue given; see ``synthesise_burst``."""
    duration = float(np.clip(0.8 * 2.0 ** cues["length"], SHORTEST_SECONDS, LONGEST_SECONDS))
    seconds = np.arange(int(duration * SAMPLING_RATE)) / SAMPLING_RATE
    pitch_hz = pitch_contour(seconds, voice, cues, rng)
    sound = speak(source_of(pitch_hz, cues["breath"], cues["rough"], rng), voice, cues)
    sound += voice.hoarseness * hiss(seconds.size, rng)
    return record(sound * envelope(seconds, voice, cues, rng), rng)


def synthesise_burst(voice: Voice, intensities: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One burst of a voice.

    Args:
        voice: who.
        intensities: 0..1, shape (10,), in the order of ``EXVO_EMOTIONS``.
        rng: the clip's own chance: the burst is a pure function of the three.

    Returns:
        float64, shape (samples,), 0.5 to 2 s at 16 kHz, peaks within -0.9..0.9.
    """
    cues = cues_of(intensities)
    for cue, spread in VARIATION.items():
        cues[cue] += spread * rng.standard_normal()
    return perform(voice, cues, rng)
