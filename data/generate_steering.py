"""Write a table of simulated drives: the readings of a car's lane sensors and its steering angle.

Each drive has its own winding lane. The car moves like a kinematic bicycle, a pure-pursuit
controller steers it towards the middle of the lane some way ahead, and wind and road push it to the
sides, so the table also shows how to return to the middle. Once a second the table gets a row: the
sensors and the controller's steering angle, both with noise.

Sources: R. C. Coulter (1992), Implementation of the Pure Pursuit Path Tracking Algorithm,
CMU-RI-TR-92-01; the look-ahead that grows with speed and the bicycle model: J. M. Snider (2009),
Automatic Steering Methods for Autonomous Automobile Path Tracking, CMU-RI-TR-09-08.

Usage: python generate_steering.py [OUTPUT]
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

SEED = 7
DRIVES = 60
MOMENTS = 50  # recorded moments of a drive
STEPS_PER_MOMENT = 10
STEP = 0.1  # seconds
SPACING = 0.5  # metres from one point of the road to the next
HALF_WIDTH = 1.75  # metres from the middle of the lane to its edge
WHEELBASE = 2.7  # metres
LOOK_AHEAD = 0.7  # seconds
RAYS = {  # bearing of each range sensor in degrees, left of straight ahead is positive
    "left_60": 60,
    "left_30": 30,
    "left_10": 10,
    "ahead": 0,
    "right_10": -10,
    "right_30": -30,
    "right_60": -60,
}
RANGE = 60.0  # metres: how far a sensor sees
HEADER = ["drive", *(f"distance_{ray}" for ray in RAYS), "speed", "heading_error", "steering_angle"]

Points = NDArray[np.complex128]
"""Points of the plane in metres, `x + iy`: a turn by `a` radians is a product with `exp(ia)`."""


@dataclass(frozen=True)
class Road:
    """A lane, in points `SPACING` apart along its middle."""

    middle: Points
    """Shape `(points,)`."""
    heading: NDArray[np.float64]
    """Direction of the lane at each point, radians, shape `(points,)`."""

    def edges(self, start: int) -> list[Points]:
        """The left and the right edge, from just behind a point to beyond the range."""
        near = slice(max(start - 10, 0), start + int(1.5 * RANGE / SPACING))
        across = 1j * HALF_WIDTH * np.exp(1j * self.heading[near])
        return [self.middle[near] + across, self.middle[near] - across]

    def nearest(self, position: complex, start: int) -> int:
        """The point nearest to a position, searched for from the point that was nearest before."""
        return start + int(np.argmin(np.abs(self.middle[start : start + 20] - position)))


@dataclass
class Car:
    """A car on its way."""

    position: complex
    """Middle of the rear axle, metres."""
    heading: float
    """Radians."""
    speed: float
    """Metres a second."""

    def sees(self, points: Points) -> Points:
        """The points as seen from the car: its own position is 0, ahead is the real axis."""
        return np.asarray((points - self.position) * np.exp(-1j * self.heading))

    def move(self, steering: float, push: float) -> None:
        """Drive on for one `STEP`.

        Args:
            steering: angle of the front wheels in radians, left is positive.
            push: what wind and road add to the turning of the car, radians a second.
        """
        self.heading += (self.speed / WHEELBASE * np.tan(steering) + push) * STEP
        self.position += self.speed * STEP * np.exp(1j * self.heading)


def winding_road(random: np.random.RandomState) -> Road:
    """A lane whose curvature is a sum of three sines; the tightest bend has a radius of 22 m."""
    along = np.arange(0.0, 1200.0, SPACING)
    wavelength = random.uniform(60.0, 400.0, size=(3, 1))
    phase = random.uniform(0.0, 2 * np.pi, size=(3, 1))
    curvature = 0.015 * np.sin(2 * np.pi * along / wavelength + phase).sum(axis=0)
    heading = np.cumsum(curvature) * SPACING
    steps: Points = SPACING * np.exp(1j * heading)
    return Road(np.cumsum(steps), heading)


def pure_pursuit(car: Car, road: Road, place: int) -> float:
    """The steering that takes the car to the middle of the lane, some way ahead, on an arc.

    The formula is `atan(2 * wheelbase * sin(bearing) / distance)`, of the point
    `LOOK_AHEAD` seconds ahead.

    Returns:
        The angle of the front wheels in radians, left is positive.
    """
    ahead = car.sees(road.middle[place + round(LOOK_AHEAD * car.speed / SPACING)])
    return float(np.arctan(2 * WHEELBASE * np.sin(np.angle(ahead)) / np.abs(ahead)))


def lane_distance(edges: list[Points], bearing: float) -> float:
    """How far a range sensor sees before its ray meets an edge of the lane.

    Args:
        edges: lines as seen from the car.
        bearing: direction of the ray in degrees.

    Returns:
        Metres, at most `RANGE`.
    """
    hits = [RANGE]
    for edge in edges:
        turned = edge * np.exp(-1j * np.radians(bearing))
        start, end = turned[:-1], turned[1:]
        crossing = np.sign(start.imag) != np.sign(end.imag)
        start, end = start[crossing], end[crossing]
        reach = start.real - start.imag * (end.real - start.real) / (end.imag - start.imag)
        hits.extend(reach[reach > 0])
    return min(hits)


def reading(car: Car, road: Road, place: int, random: np.random.RandomState) -> list[float]:
    """One row of the table without its drive: the sensors, then the steering; all with noise."""
    edges = [car.sees(edge) for edge in road.edges(place)]
    distances = [lane_distance(edges, bearing) for bearing in RAYS.values()]
    seen = np.minimum(distances * random.normal(1.0, 0.01, size=len(RAYS)), RANGE)
    speed = car.speed + random.normal(0.0, 0.1)
    heading_error = np.degrees(car.heading - road.heading[place]) + random.normal(0.0, 0.5)
    steering = np.degrees(pure_pursuit(car, road, place)) + random.normal(0.0, 0.2)
    # Two decimals are what such sensors resolve, and hide how the last bit of a sine differs
    # between machines. Adding 0.0 turns -0.0 into 0.0.
    return [round(float(value), 2) + 0.0 for value in (*seen, speed, heading_error, steering)]


def disturb(car: Car, cruise: float, push: float, random: np.random.RandomState) -> float:
    """Change the speed of a car at random, and return the next push by wind and road.

    Both are random walks that return to their mean: the cruising speed, and 0.
    """
    car.speed += 0.02 * (cruise - car.speed) + random.normal(0.0, 0.2)
    return push + (-0.1 * push + random.normal(0.0, np.radians(2.6)))


def drive(random: np.random.RandomState) -> Iterator[list[float]]:
    """Yield the readings of one drive on a new road, one a second."""
    road = winding_road(random)
    cruise = random.uniform(5.0, 16.0)
    car = Car(complex(road.middle[0]), float(road.heading[0]), cruise)
    place, push = 0, 0.0
    for step in range(MOMENTS * STEPS_PER_MOMENT):
        place = road.nearest(car.position, place)
        if step % STEPS_PER_MOMENT == 0:
            yield reading(car, road, place, random)
        push = disturb(car, cruise, push, random)
        car.move(pure_pursuit(car, road, place), push)


def write(output: Path) -> None:
    """Write the table of all drives."""
    # The legacy generator is the one whose stream NumPy has promised never to change.
    random = np.random.RandomState(SEED)
    with output.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(HEADER)
        for number in range(1, DRIVES + 1):
            table.writerows([number, *row] for row in drive(random))


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("steering.csv"))
