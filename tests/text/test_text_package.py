import subprocess
import sys

import tinyslm.text


def test_public_names_exist_and_say_what_they_do():
    for name in tinyslm.text.__all__:
        public = getattr(tinyslm.text, name)
        assert name == "Tokenizer" or public.__doc__


def test_import_is_light():
    code = "import sys, tinyslm.text; print([m for m in ('numba', 'matplotlib', 'rich', 'typer') if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert result.stdout.strip() == "[]"
