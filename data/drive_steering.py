"""Let trained networks drive the simulated car of the table `steering` on new roads.

Each network reads the sensors ten times a second and sets the steering angle. Wind and road push
the car as in `generate_steering.py`. All networks get the same roads and the same wind. The picture
shows one of the roads.

Usage: python drive_steering.py RUN [RUN ...] [--output drive.svg]
"""

from __future__ import annotations

import argparse
import warnings
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
from generate_steering import (
    HALF_WIDTH,
    HEADER,
    MOMENTS,
    STEP,
    STEPS_PER_MOMENT,
    Car,
    Points,
    Road,
    disturb,
    reading,
    winding_road,
)

import dlcli

FIRST_SEED = 1000
ROADS = 10
SHOWN = 3
"""The road of the picture."""
STEPS = MOMENTS * STEPS_PER_MOMENT
AFTERWARDS = 15
"""Steps that a car still drives after it has left the lane."""
COLORS = ["#4c8dc9", "#d64545", "#4aa564", "#e08a3c"]
WIDTH, MARGIN = 720, 24
"""Pixels of the picture, and of its margin."""
SPEED_UP = 5
"""Seconds of a drive that the animation shows in one second."""


@dataclass(frozen=True)
class Drive:
    """A car's way along a road."""

    road: Road
    track: Points
    """Positions, `STEP` seconds apart."""
    offsets: list[float]
    """Distances of these positions from the middle of the lane, in metres."""

    @property
    def steps_in_lane(self) -> int:
        """Number of steps until the car leaves the lane."""
        outside = (step for step, offset in enumerate(self.offsets) if offset > HALF_WIDTH)
        return next(outside, len(self.offsets))


def drive(model: dlcli.Model, seed: int) -> Drive:
    """Let a network drive until it has left the lane, or for as long as a recorded drive.

    Args:
        model: predicts the steering angle in degrees.
        seed: of the road, the wind and the noise of the sensors.
    """
    random, noise = np.random.RandomState(seed), np.random.RandomState(seed)
    road = winding_road(random)
    cruise = random.uniform(5.0, 16.0)
    car = Car(complex(road.middle[0]), float(road.heading[0]), cruise)
    nearest, push = 0, 0.0
    track: list[complex] = []
    offsets: list[float] = []
    while len(track) < STEPS and max(offsets[:-AFTERWARDS], default=0.0) <= HALF_WIDTH:
        nearest = road.nearest(car.position, nearest)
        track.append(car.position)
        offsets.append(float(abs(car.position - road.middle[nearest])))
        sensors = dict(zip(HEADER[1:-1], reading(car, road, nearest, noise), strict=False))
        angle = float(model.predict_rows([sensors]).values[0])
        push = disturb(car, cruise, push, random)
        car.move(np.radians(angle), push)
    return Drive(road, np.array(track), offsets)


def summary(drives: list[Drive]) -> str:
    """Return how far a network has driven, in words."""
    finished = [each for each in drives if each.steps_in_lane == STEPS]
    seconds = STEP * np.mean([each.steps_in_lane for each in drives])
    offset = np.mean([each.offsets[step] for each in drives for step in range(each.steps_in_lane)])
    return (
        f"{len(finished):>2} of {len(drives)} roads finished, {seconds:4.1f} s in the lane"
        f" on average, {offset:.2f} m from its middle"
    )


def picture(drives: dict[str, Drive]) -> str:
    """Return a drawing of one road and the tracks of several cars on it, as SVG.

    Args:
        drives: by the names of the networks, on the same road.
    """
    road = next(iter(drives.values())).road
    ends = [int(np.argmin(np.abs(road.middle - each.track[-1]))) for each in drives.values()]
    middle = road.middle[: max(ends) + 10]
    turn = np.exp(-1j * np.angle(middle[-1] - middle[0]))  # start and end lie side by side
    turned = np.concatenate([middle, *(each.track for each in drives.values())]) * turn
    left, high = np.min(turned.real), np.max(turned.imag)
    scale = (WIDTH - 2 * MARGIN) / (np.max(turned.real) - left)
    legend = 22 * len(drives)
    height = round(scale * (high - np.min(turned.imag)) + 2 * MARGIN + legend)

    def path(points: Points) -> str:
        placed = (points * turn - complex(left, high)) * scale
        pairs = (f"{z.real + MARGIN:.1f} {MARGIN - z.imag:.1f}" for z in placed)
        return "M" + " L".join(pairs)

    lane = 2 * HALF_WIDTH * scale
    parts = [
        f'<path d="{path(middle)}" stroke="#808080" {style}/>'
        for style in (f'stroke-opacity="0.3" stroke-width="{lane:.1f}"', 'stroke-dasharray="6 6"')
    ]
    for row, ((name, each), color) in enumerate(zip(drives.items(), COLORS, strict=False)):
        track = path(each.track)
        end = len(each.track) / STEPS
        left_lane = each.steps_in_lane < STEPS
        words = (
            f"left the lane after {each.steps_in_lane * STEP:.0f} s" if left_lane else "finished"
        )
        y = height - legend + 22 * row + 6
        parts += [
            f'<path d="{track}" stroke="{color}" stroke-width="2"/>',
            f'<rect x="-7" y="-4" width="14" height="8" rx="2" fill="{color}">'
            f'<animateMotion path="{track}" dur="{STEPS * STEP / SPEED_UP:.0f}s" rotate="auto"'
            f' calcMode="linear" keyTimes="0;{end:.3f};1" keyPoints="0;1;1"'
            ' repeatCount="indefinite"/></rect>',
            f'<rect x="{MARGIN}" y="{y - 9}" width="14" height="8" rx="2" fill="{color}"/>',
            f'<text x="{MARGIN + 22}" y="{y}" fill="#7a7a7a">{escape(name)}: {words}</text>',
        ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}"'
        f' height="{height}" fill="none" font-family="sans-serif" font-size="13">\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def main(arguments: list[str] | None = None) -> None:
    """Drive, print how far each network has come, and draw the picture."""
    parser = argparse.ArgumentParser(description="Let trained networks drive on simulated roads.")
    parser.add_argument("runs", nargs="+", metavar="RUN", help="run folder of `steering`")
    parser.add_argument("--output", type=Path, default=Path("drive.svg"), help="the picture")
    given = parser.parse_args(arguments)
    warnings.simplefilter("ignore", dlcli.DataWarning)  # outside the lane, readings are unusual
    shown = {}
    for run in given.runs:
        model = dlcli.load(run)
        drives = [drive(model, FIRST_SEED + road) for road in range(ROADS)]
        print(f"{run:<{max(map(len, given.runs))}}  {summary(drives)}", flush=True)
        shown[Path(run).name] = drives[SHOWN]
    given.output.write_text(picture(shown), encoding="utf-8")
    print(given.output)


if __name__ == "__main__":
    main()
