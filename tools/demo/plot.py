"""A plot of the loss over the rounds: of text for the terminal, and of pixels where gnuplot is there."""

import os
import shutil
import subprocess

HEIGHT = 12
WIDTH_MAX = 64
LABEL = 8
GNUPLOT_S = 20
MARKS = "●○"


class Series:
    def __init__(self, name, points):
        """points: {x: y}"""
        self.name, self.points = name, points


def column(x, first, last, width):
    return 0 if last == first else round((x - first) * (width - 1) / (last - first))


def text(series, x_name):
    """Lines of text. Where two series meet, the first is seen."""
    xs = [x for s in series for x in s.points]
    ys = [y for s in series for y in s.points.values()]
    if not xs:
        return []
    first, last, low, high = min(xs), max(xs), min(ys), max(ys)
    if high == low:
        low, high = low - 0.5, high + 0.5
    width = min(WIDTH_MAX, max(2, 6 * (last - first) + 1))
    cells = [[" "] * width for _ in range(HEIGHT)]
    for s, mark in reversed(list(zip(series, MARKS))):
        for x, y in s.points.items():
            row = round((high - y) * (HEIGHT - 1) / (high - low))
            cells[row][column(x, first, last, width)] = mark
    lines = []
    for i, row in enumerate(cells):
        value = high - (high - low) * i / (HEIGHT - 1)
        label = f"{value:{LABEL}.3f}" if i % 4 == 0 or i == HEIGHT - 1 else " " * LABEL
        lines.append(f"{label} │{''.join(row).rstrip()}")
    lines.append(" " * LABEL + " └" + "─" * width)
    span = f"{first:<{max(1, width - len(str(last)))}}{last}" if last > first else str(first)
    lines.append(" " * (LABEL + 2) + f"{span}  {x_name}")
    lines.append(" " * (LABEL + 2) + "   ".join(f"{mark} {s.name}" for s, mark in zip(series, MARKS)))
    return lines


def images(series, x_name, y_name, title, base):
    """Writes base.svg and base.png with gnuplot. Returns their paths: none when it is not there, or fails."""
    gnuplot = shutil.which("gnuplot")
    if not gnuplot:
        return []
    made = []
    data = "".join(f"$data{i} << EOD\n" + "".join(f"{x} {y}\n" for x, y in sorted(s.points.items())) + "EOD\n"
                   for i, s in enumerate(series))
    curves = ", ".join(f"$data{i} with linespoints title '{s.name}'" for i, s in enumerate(series))
    for terminal, suffix in (("svg size 800,480 background rgb 'white'", "svg"), ("png size 800,480", "png")):
        path = f"{base}.{suffix}"
        script = (f"set terminal {terminal}\nset output '{path}'\n{data}set title '{title}'\nset xlabel '{x_name}'\n"
                  f"set ylabel '{y_name}'\nset grid\nplot {curves}\n")
        try:
            done = subprocess.run([gnuplot], input=script, text=True, timeout=GNUPLOT_S, check=False,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        except (OSError, subprocess.TimeoutExpired):
            continue
        if done.returncode == 0 and os.path.exists(path):
            made.append(path)
    return made
