"""Pictures for the screen: packets for the CT viewer, Plotly figures and HTML. Pure functions, no Streamlit."""
