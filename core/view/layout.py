"""What all screen figures share: transparent ground, the theme's ink, quiet grid, no dragging surprises."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go

from core.view.colour import translucent

INK_ON_LIGHT, INK_ON_DARK = "#1b2430", "#e3e8ee"
GROUND = {INK_ON_LIGHT: "#fbfcfd", INK_ON_DARK: "#11161c"}
FONT = "system-ui, -apple-system, Segoe UI, Roboto, Noto Sans, Liberation Sans, sans-serif"


def finish(figure: go.Figure, *, ink: str, height: int, margin: dict[str, int]) -> go.Figure:
    """Apply the shared look; `ink` is the theme's text colour."""
    axis: dict[str, Any] = {
        "gridcolor": translucent(ink, 0.1),
        "linecolor": translucent(ink, 0.35),
        "tickfont": {"color": ink, "size": 12},
        "title": {"font": {"color": ink, "size": 12}},
        "zeroline": False,
    }
    figure.update_layout(
        template="none",
        height=height,
        margin=margin,
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor=GROUND.get(ink, "#ffffff"),  # plotly lays it around the line it draws on hover
        font={"color": ink, "family": FONT, "size": 12},
        hoverlabel={"bgcolor": GROUND.get(ink, "#ffffff"), "font": {"color": ink, "family": FONT, "size": 12}},
        legend={"font": {"color": ink, "size": 12}, "bgcolor": "rgba(0,0,0,0)"},
    )
    figure.update_xaxes(**axis)
    figure.update_yaxes(**axis)
    figure.update_annotations(font_color=ink)
    return figure
