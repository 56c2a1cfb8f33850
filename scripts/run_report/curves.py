"""Curves thin enough for a page: a run has tens of thousands of rows, a figure some hundreds of places."""

import math

MOST_POINTS = 1000  # of a curve


def finite(points):
    return [(x, y) for x, y in points if y is not None and math.isfinite(y)]


def _places(points, count):
    """The points in as many places of equal width in x, without empty ones."""
    first, last = points[0][0], points[-1][0]
    places = {}
    for x, y in points:
        place = min(count - 1, int((x - first) / (last - first) * count)) if last > first else 0
        places.setdefault(place, []).append((x, y))
    return places.values()


def thinned(points, most=MOST_POINTS):
    """Means of neighbouring points, in as many places of equal width in x as a curve may have; as they are where they are few."""
    points = finite(points)
    if len(points) <= most:
        return points
    return [(sum(x for x, _ in group) / len(group), sum(y for _, y in group) / len(group)) for group in _places(points, most)]


def spanned(points, most=MOST_POINTS):
    """The lowest and the highest point of each place, so that no peak is lost; as they are where they are few."""
    points = finite(points)
    if len(points) <= most:
        return points
    ends = ((min(group, key=lambda point: point[1]), max(group, key=lambda point: point[1])) for group in _places(points, most // 2))
    return [point for pair in ends for point in sorted(set(pair))]


def smoothed(points, share=0.02):
    """Each the mean of its neighbourhood, as many points before it as behind it, so that it does not lag."""
    points = finite(points)
    reach = max(1, round(share * len(points) / 2))
    sums = [0.0]
    for _, y in points:
        sums.append(sums[-1] + y)
    means = []
    for i, (x, _) in enumerate(points):
        around = min(reach, i, len(points) - 1 - i)
        means.append((x, (sums[i + around + 1] - sums[i - around]) / (2 * around + 1)))
    return means
