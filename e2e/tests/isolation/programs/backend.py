"""The build backend of a source package, in the package itself: it needs nothing but Python."""

import zipfile

NAME = "greeting-1.0.0"
INFORMATION = "greeting-1.0.0.dist-info"
FILES = {
    f"{INFORMATION}/METADATA": "Metadata-Version: 2.1\nName: greeting\nVersion: 1.0.0\n",
    f"{INFORMATION}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    f"{INFORMATION}/entry_points.txt": "[console_scripts]\ngreet = greeting:main\n",
}


def build_wheel(directory, config_settings=None, metadata_directory=None):
    name = f"{NAME}-py3-none-any.whl"
    with zipfile.ZipFile(f"{directory}/{name}", "w") as wheel:
        wheel.write("greeting.py")
        for path, text in FILES.items():
            wheel.writestr(path, text)
        record = "".join(f"{path},,\n" for path in ["greeting.py", *FILES, f"{INFORMATION}/RECORD"])
        wheel.writestr(f"{INFORMATION}/RECORD", record)
    return name
