# A saved model behind HTTP, on the processor.
#
#   docker build -t burst2vec .
#   docker run --read-only --tmpfs /tmp -p 8000:8000 -v "$PWD/runs/quickstart:/model:ro" burst2vec
#   curl -F file=@laugh.mp3 http://127.0.0.1:8000/predict
#
# Words after the image's name replace the last line: … burst2vec --model /model --host 0.0.0.0 --batch_size 16.
FROM python:3.12-slim

WORKDIR /source
COPY setup.py pyproject.toml README.md constraints.txt ./
COPY burst2vec burst2vec
COPY examples examples
COPY metrics metrics
# torch and torchaudio of the builds for processors: as releases they are newer than the plain ones of the same number.
RUN pip install --no-cache-dir --extra-index-url https://download.pytorch.org/whl/cpu -c constraints.txt ".[serve,webm]"

RUN useradd --create-home server
USER server
WORKDIR /home/server
ENV HF_HUB_OFFLINE=1 HF_HOME=/tmp/hub MPLCONFIGDIR=/tmp/matplotlib NUMBA_CACHE_DIR=/tmp/numba PYTHONDONTWRITEBYTECODE=1
EXPOSE 8000
HEALTHCHECK --start-period=60s --timeout=5s \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health', timeout=4)"]
ENTRYPOINT ["burst2vec", "serve"]
CMD ["--model", "/model", "--host", "0.0.0.0"]
