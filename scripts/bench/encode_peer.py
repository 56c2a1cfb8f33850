#!/usr/bin/env python3
"""One measurement of data_path.py: another library encodes all files of a folder, on all threads, into one file of token ids.

    encode_peer.py sentencepiece|tokenizers MODEL TEXT_FOLDER OUTPUT THREADS

Prints the seconds from the first file to the last token, those of them within the library, and the tokens, as JSON. Loading the
library and the model does not count."""

import json
import os
import pathlib
import sys
import time

import numpy

BATCH_BYTES = 4_000_000  # of text in memory


def batches(folder):
    """Lists of texts."""
    batch, size = [], 0
    for path in sorted(folder.iterdir()):
        batch.append(path.read_bytes().decode())
        size += len(batch[-1])
        if size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def sentencepiece_encoder(model, threads):
    import sentencepiece
    processor = sentencepiece.SentencePieceProcessor(model_file=model)
    return processor.vocab_size(), lambda texts: processor.encode(texts, out_type=int, num_threads=threads)


def tokenizers_encoder(model, threads):
    os.environ |= {"RAYON_NUM_THREADS": str(threads), "TOKENIZERS_PARALLELISM": "true"}
    import tokenizers
    tokenizer = tokenizers.Tokenizer.from_file(model)
    tokenizer.encode_special_tokens = True  # "<s>" in a text is text
    return tokenizer.get_vocab_size(), lambda texts: [one.ids for one in tokenizer.encode_batch_fast(texts, add_special_tokens=False)]


def main():
    library, model, folder, output, threads = sys.argv[1:]
    open_encoder = {"sentencepiece": sentencepiece_encoder, "tokenizers": tokenizers_encoder}[library]
    vocabulary, encode = open_encoder(model, int(threads))
    token_type = numpy.uint16 if vocabulary <= 1 << 16 else numpy.uint32
    tokens, encoding = 0, 0.0
    began = time.perf_counter()
    with open(output, "wb") as file:
        for texts in batches(pathlib.Path(folder)):
            encoding -= time.perf_counter()
            encoded = encode(texts)
            encoding += time.perf_counter()
            for ids in encoded:
                numpy.array(ids, dtype=token_type).tofile(file)
                tokens += len(ids)
        file.flush()
        os.fsync(file.fileno())  # as `zebra data pack` does
    print(json.dumps({"seconds": time.perf_counter() - began, "encoding": encoding, "tokens": tokens}))


if __name__ == "__main__":
    main()
