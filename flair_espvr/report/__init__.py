"""Pages for people: tagged posts with their pictures, and where in the picture each entity is supported."""

from flair_espvr.report.figure import entity_figure
from flair_espvr.report.fragment import post_css, post_html
from flair_espvr.report.page import write_report

__all__ = ["entity_figure", "post_css", "post_html", "write_report"]
