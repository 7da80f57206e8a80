# Research use only. No patient data and no secrets in the image; weights of the shipped bundles are part of the repository.
FROM python:3.11-slim
# The reader of burned-in text needs these two libraries.
RUN apt-get update && apt-get install -y --no-install-recommends libgl1 libglib2.0-0 && rm -rf /var/lib/apt/lists/*
RUN useradd --create-home app
WORKDIR /home/app/src
COPY requirements.txt constraints.txt ./
RUN pip install --no-cache-dir -r requirements.txt
COPY --chown=app:app . .
USER app
EXPOSE 8501
HEALTHCHECK CMD python -c "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8501/_stcore/health')"
# Inside the container the server must listen on its own interface; publish it with -p 127.0.0.1:8501:8501.
CMD ["streamlit", "run", "app.py", "--server.address=0.0.0.0", "--server.port=8501"]
