"""The three factories: what their conveyors, parts, lamps and cameras are like, as ranges to draw from."""

from dataclasses import dataclass, field

Range = tuple[float, float]


@dataclass(frozen=True)
class Style:
    """One domain. Every ``Range`` is drawn uniformly, once per image unless said.

    Attributes:
        kinds: weight of every kind of part (`parts.KINDS`).
        count: fewest and most parts in an image.
        size: size of a part, world units, drawn per part.
        view_width: stretch of belt in view, world units.
        tilt: camera's angle below the horizon, degrees.
        yaw: rotation of the view against the belt, degrees.
        half_width: half the belt's width, world units.
        pitch, gap: of the slats, world units.
        ribs: numbers of grooves per slat to choose from.
        rivets: distances of rivets to choose from; 0 for none.
        belt_tone: the belt's reflectance for scattered light.
        belt_gloss, belt_rough, belt_uneven, belt_crown, worn: see `belt.Belt`.
        sheet_tone: reflectance of the parts for scattered light, drawn per part.
        sheet_gloss, sheet_rough: of the parts, drawn per part.
        main, around, ceiling: strengths of the light, see `light.Lighting`.
        elevation: the main lamp's height, degrees.
        clutter: see `light.Lighting`.
        lamps: fewest and most mirrored lamps.
        lamp_power: brightness of a mirrored lamp, drawn per lamp.
        lamp_size: its longer half extent, ceiling heights.
        lamp_edge: blur of its border.
        warmth: red against blue of the light, 0 is neutral.
        stops: exposure correction, stops.
        gradient: largest relative change of exposure across the picture.
        contrast, vignetting, bloom, veil, noise, blur, motion: see `photograph.Shot`.
    """

    kinds: dict[str, float]
    count: tuple[int, int]
    size: Range
    view_width: Range
    tilt: Range
    yaw: Range
    half_width: Range
    pitch: Range
    gap: Range
    ribs: tuple[int, ...]
    rivets: tuple[float, ...]
    belt_tone: Range
    belt_gloss: Range
    belt_rough: Range
    belt_uneven: Range
    belt_crown: Range
    worn: Range
    sheet_tone: Range
    sheet_gloss: Range
    sheet_rough: Range
    main: Range
    around: Range
    ceiling: Range
    elevation: Range
    clutter: Range
    lamps: tuple[int, int]
    lamp_power: Range
    lamp_size: Range
    lamp_edge: Range
    warmth: Range
    stops: Range
    gradient: float
    contrast: Range
    vignetting: Range
    bloom: Range
    veil: Range
    noise: Range
    blur: Range
    motion: tuple[int, int] = field(default=(1, 1))


SOURCE = Style(
    kinds=dict(
        bracket=1.4,
        channel=1.1,
        bent_strip=1.1,
        plate=1.2,
        long_plate=0.25,
        ring=0.7,
        fan=0.9,
        cutout=1.0,
        toothed=0.5,
        gusset=0.8,
        tray=0.7,
    ),
    count=(3, 8),
    size=(85, 230),
    view_width=(880, 1150),
    tilt=(50, 66),
    yaw=(-7, 7),
    half_width=(165, 260),
    pitch=(62, 84),
    gap=(4, 7),
    ribs=(0, 0, 1),
    rivets=(0, 55, 80),
    belt_tone=(0.3, 0.44),
    belt_gloss=(0.12, 0.25),
    belt_rough=(0.25, 0.5),
    belt_uneven=(0.01, 0.03),
    belt_crown=(0.02, 0.08),
    worn=(0.1, 0.22),
    sheet_tone=(0.06, 0.28),
    sheet_gloss=(0.3, 0.75),
    sheet_rough=(0.06, 0.35),
    main=(0.9, 1.5),
    around=(0.2, 0.4),
    ceiling=(0.2, 0.45),
    elevation=(32, 60),
    clutter=(0.15, 0.4),
    lamps=(2, 5),
    lamp_power=(1.0, 3.0),
    lamp_size=(0.12, 0.4),
    lamp_edge=(0.02, 0.06),
    warmth=(-0.02, 0.1),
    stops=(-0.35, 0.25),
    gradient=0.2,
    contrast=(0.1, 0.5),
    vignetting=(0.05, 0.25),
    bloom=(0.02, 0.06),
    veil=(0.0, 0.01),
    noise=(0.003, 0.008),
    blur=(0.7, 1.2),
    motion=(1, 2),
)

TARGET_1 = Style(
    kinds=dict(
        bracket=1.0,
        channel=1.0,
        bent_strip=0.8,
        plate=1.3,
        long_plate=0.3,
        ring=0.3,
        fan=0.3,
        cutout=1.3,
        toothed=0.4,
        gusset=0.7,
        tray=1.2,
    ),
    count=(3, 8),
    size=(80, 220),
    view_width=(800, 1050),
    tilt=(40, 56),
    yaw=(-12, 2),
    half_width=(190, 300),
    pitch=(190, 270),
    gap=(8, 13),
    ribs=(0, 0, 3),
    rivets=(0, 0, 70),
    belt_tone=(0.12, 0.2),
    belt_gloss=(0.3, 0.5),
    belt_rough=(0.015, 0.07),
    belt_uneven=(0.01, 0.03),
    belt_crown=(0.0, 0.04),
    worn=(0.12, 0.3),
    sheet_tone=(0.08, 0.28),
    sheet_gloss=(0.25, 0.6),
    sheet_rough=(0.05, 0.3),
    main=(0.2, 0.4),
    around=(0.2, 0.35),
    ceiling=(0.15, 0.28),
    elevation=(30, 60),
    clutter=(0.2, 0.5),
    lamps=(3, 6),
    lamp_power=(0.8, 2.2),
    lamp_size=(0.04, 0.13),
    lamp_edge=(0.004, 0.02),
    warmth=(-0.12, 0.04),
    stops=(-1.2, -0.3),
    gradient=0.5,
    contrast=(0.0, 0.3),
    vignetting=(0.2, 0.6),
    bloom=(0.05, 0.12),
    veil=(0.004, 0.02),
    noise=(0.004, 0.01),
    blur=(0.9, 1.5),
    motion=(1, 4),
)

TARGET_2 = Style(
    kinds=dict(
        bracket=0.5,
        channel=0.6,
        bent_strip=0.9,
        plate=0.7,
        long_plate=3.6,
        ring=0.1,
        fan=0.2,
        cutout=0.5,
        toothed=0.3,
        gusset=0.3,
        tray=0.4,
    ),
    count=(3, 7),
    size=(90, 230),
    view_width=(850, 1150),
    tilt=(46, 68),
    yaw=(-4, 12),
    half_width=(180, 300),
    pitch=(95, 135),
    gap=(5, 12),
    ribs=(0, 2, 3),
    rivets=(0, 90),
    belt_tone=(0.14, 0.45),
    belt_gloss=(0.15, 0.4),
    belt_rough=(0.06, 0.3),
    belt_uneven=(0.02, 0.05),
    belt_crown=(0.0, 0.12),
    worn=(0.15, 0.35),
    sheet_tone=(0.12, 0.45),
    sheet_gloss=(0.3, 0.8),
    sheet_rough=(0.04, 0.3),
    main=(0.3, 1.3),
    around=(0.12, 0.4),
    ceiling=(0.15, 0.45),
    elevation=(18, 50),
    clutter=(0.1, 0.5),
    lamps=(1, 4),
    lamp_power=(2.0, 8.0),
    lamp_size=(0.08, 0.4),
    lamp_edge=(0.01, 0.08),
    warmth=(-0.08, 0.16),
    stops=(-2.3, 1.2),
    gradient=0.75,
    contrast=(0.0, 0.8),
    vignetting=(0.1, 0.5),
    bloom=(0.04, 0.2),
    veil=(0.0, 0.03),
    noise=(0.004, 0.012),
    blur=(0.8, 1.6),
    motion=(1, 4),
)

STYLES: dict[str, Style] = {"s": SOURCE, "t1": TARGET_1, "t2": TARGET_2}
