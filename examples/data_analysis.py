"""Data analysis: a CSV file goes in, a program computes with it in a sandbox, and its plot comes out as PNG.

    python3 examples/data_analysis.py [plot.png] [IMAGE]

The program draws by matplotlib where the image has it (one with matplotlib can be built from a Dockerfile, see docs/images.md), and
otherwise with what every Python has; it says which. The image is that of the daemon's configuration where none is named.
"""

import math
import random
import sys
from pathlib import Path

from sandkasten.sync import SandboxClient

PROGRAM = r'''
import csv, statistics, struct, zlib

months = {}
for row in csv.DictReader(open("/workspace/temperatures.csv")):
    months.setdefault(int(row["date"][5:7]), []).append(float(row["celsius"]))
means = [statistics.fmean(months[month]) for month in sorted(months)]
print(f"{sum(map(len, months.values()))} days in {len(means)} months, "
      f"coldest {min(means):.1f}, warmest {max(means):.1f} degrees")

try:
    import matplotlib
except ImportError:
    print("drawn without matplotlib, by zlib and struct")
    WIDTH, HEIGHT, LEFT, BOTTOM = 720, 400, 50, 360
    pixels = [bytearray(b"\xff" * 3 * WIDTH) for _ in range(HEIGHT)]
    FONT = {"0": 0b111101101101111, "1": 0b010110010010111, "2": 0b111001111100111, "3": 0b111001111001111,
            "4": 0b101101111001001, "5": 0b111100111001111, "6": 0b111100111101111, "7": 0b111001001001001,
            "8": 0b111101111101111, "9": 0b111101111001111}

    def fill(left, top, width, height, colour):
        for row in pixels[top:top + height]:
            row[3 * left:3 * (left + width)] = bytes(colour) * width

    def write(text, left, top, size=3):
        for character in text:
            for bit in range(15):
                if FONT[character] >> (14 - bit) & 1:
                    fill(left + bit % 3 * size, top + bit // 3 * size, size, size, (70, 70, 70))
            left += 4 * size

    def height(degrees):
        return round(degrees * 13)

    for degrees in range(0, 26, 5):
        fill(LEFT, BOTTOM - height(degrees), WIDTH - LEFT - 20, 1, (215, 215, 215))
        write(f"{degrees:>2}".replace(" ", "0"), 14, BOTTOM - height(degrees) - 7)
    for number, mean in enumerate(means, 1):
        left, warmth = LEFT + 10 + (number - 1) * 53, (mean - min(means)) / (max(means) - min(means))
        fill(left, BOTTOM - height(mean), 40, height(mean), (round(60 + 170 * warmth), 110, round(200 - 140 * warmth)))
        write(f"{number:02}", left + 10, BOTTOM + 12)
    fill(LEFT, BOTTOM, WIDTH - LEFT - 20, 2, (70, 70, 70))

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    with open("/workspace/plot.png", "wb") as png:
        png.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 2, 0, 0, 0))
                  + chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in pixels))) + chunk(b"IEND", b""))
else:
    matplotlib.use("Agg")
    from matplotlib import pyplot
    print("drawn by matplotlib", matplotlib.__version__)
    pyplot.figure(figsize=(7.2, 4))
    pyplot.bar(range(1, len(means) + 1), means)
    pyplot.xlabel("month")
    pyplot.ylabel("mean temperature, degrees Celsius")
    pyplot.savefig("/workspace/plot.png")
'''


def temperatures() -> str:
    """A year of made-up weather, the same every time."""
    dice = random.Random(2026)
    days = [(month, day) for month in range(1, 13) for day in range(1, 29)]
    lines = ["date,celsius"]
    for number, (month, day) in enumerate(days):
        season = 12 - 10 * math.cos(2 * math.pi * (number - 20) / len(days))
        lines.append(f"2025-{month:02}-{day:02},{season + dice.gauss(0, 2):.1f}")
    return "\n".join(lines) + "\n"


def main() -> int:
    to = Path(sys.argv[1] if len(sys.argv) > 1 else "plot.png")
    image = sys.argv[2] if len(sys.argv) > 2 else None
    with SandboxClient() as client, client.create_session(image=image, labels={"example": "data-analysis"}) as session:
        session.files.write("temperatures.csv", temperatures())
        session.files.write("analyse.py", PROGRAM)
        # matplotlib wants a place for its caches; the home directory of a session is writable, and so is /tmp.
        result = session.exec(argv=["python3", "/workspace/analyse.py"], env={"MPLCONFIGDIR": "/tmp/matplotlib"}, timeout_ms=120_000)
        print(result.output, end="")
        if result.exit_code != 0:
            print(f"the analysis failed: {result.hint}")
            return 1
        print(f"{to}: {session.files.download('plot.png', to)} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
