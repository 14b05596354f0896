"""Charts as SVG, for pages that show them as pictures."""

from html import escape

WIDTH, HEIGHT, MARGIN = 640, 240, 44
COLOURS = ["#2563eb", "#d97706"]
# Of bars: each one's height, and where they begin.
BAR, LABELS = 22, 330


def bars(title, values):
    """A bar for each named value, and a line at 1: what is shorter is less than the other's."""
    height = 40 + BAR * len(values) + 10
    unit = (WIDTH - LABELS - MARGIN) / max(1, *values.values())
    parts = [*head(height), f'<text x="10" y="20">{escape(title)}</text>']
    for number, (name, value) in enumerate(values.items()):
        y = 40 + BAR * number
        colour = COLOURS[value > 1]
        parts += [
            f'<text x="{LABELS - 8}" y="{y + 13}" text-anchor="end">{escape(name)}</text>',
            f'<rect x="{LABELS}" y="{y}" width="{unit * value:.0f}" height="{BAR - 6}" fill="{colour}"/>',
            f'<text x="{LABELS + unit * value + 6:.0f}" y="{y + 13}">{value:.2f}</text>',
        ]
    parts.append(f'<path d="M{LABELS + unit:.0f} 34V{height - 10}" stroke="#555"/>')
    return "\n".join([*parts, "</svg>", ""])


def head(height):
    return [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}"'
        ' font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
    ]


def lines(title, series):
    """A line for each of the named series of points, from zero on both axes."""
    right = max(x for points in series.values() for x, _ in points) or 1
    top = max(y for points in series.values() for _, y in points) * 1.1 or 1

    def place(x, y):
        return (
            MARGIN + (WIDTH - 2 * MARGIN) * x / right,
            HEIGHT - MARGIN - (HEIGHT - 2 * MARGIN) * y / top,
        )

    parts = [*head(HEIGHT), f'<text x="{MARGIN}" y="20">{escape(title)}</text>']
    for step in range(5):
        x, y = right * step / 4, top * step / 4
        (left, level), (across, _) = place(0, y), place(x, 0)
        end = WIDTH - MARGIN
        parts += [
            f'<path d="M{left:.0f} {level:.0f}H{end}" stroke="#ddd"/>',
            f'<text x="{left - 6:.0f}" y="{level + 4:.0f}" text-anchor="end">{y:.3g}</text>',
            f'<text x="{across:.0f}" y="{HEIGHT - MARGIN + 18}" text-anchor="middle">{x:.3g}</text>',
        ]
    for number, (name, points) in enumerate(series.items()):
        colour = COLOURS[number % len(COLOURS)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in points))
        label = MARGIN + 130 * number
        parts += [
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>',
            f'<text x="{label}" y="{HEIGHT - 6}" fill="{colour}">{escape(name)}</text>',
        ]
    return "\n".join([*parts, "</svg>", ""])
