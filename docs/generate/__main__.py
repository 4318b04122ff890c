"""`python -m docs.generate` writes the pages of docs/reference."""

from docs.generate import REFERENCE, pages

if __name__ == "__main__":
    REFERENCE.mkdir(exist_ok=True)
    for name, text in pages().items():
        (REFERENCE / name).write_text(text, encoding="utf-8")
