"""Small tokenizers of every split pattern, trained by the package `tokenizers`, and texts at which an encoder may go wrong."""

import base64
import json
import random

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
LINES_AND_SPACES = r"\s*[\r\n]+|\s+(?!\S)|\s+"
LETTERS = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+", r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"


def llama3(digits):
    return CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|" + digits + r"| ?[^\s\p{L}\p{N}]+[\r\n]*|" + LINES_AND_SPACES


# As the models' own files write them.
EXPRESSIONS = {
    "gpt2": [],  # is what ByteLevel does by itself
    "llama3": [llama3(r"\p{N}{1,3}")],
    "qwen2": [llama3(r"\p{N}")],
    "o200k": ["|".join([rf"[^\r\n\p{{L}}\p{{N}}]?{word}{CONTRACTIONS}?" for word in LETTERS])
              + r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|" + LINES_AND_SPACES],
    "deepseek": [r"\p{N}{1,3}", "[一-龥\u3040-ゟ゠-ヿ]+",
                 r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^""" + "\r\n" + r"\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
                 r"| ?[\p{P}\p{S}]+[" + "\r\n" + r"]*|\s*[" + "\r\n" + r"]+|\s+(?!\S)|\s+"]}
END = "<|endoftext|>"


def split_by(pattern):
    """The pre-tokenizer of a pattern."""
    steps = [pre_tokenizers.Split(Regex(expression), "isolated") for expression in EXPRESSIONS[pattern]]
    whole = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=not steps)
    return pre_tokenizers.Sequence([*steps, whole]) if steps else whole


def write_tokenizer(folder, pattern, texts, vocabulary=600, **model):
    """tokenizer.json and tokenizer_config.json of a tokenizer trained on the texts; returns it as `tokenizers` opens it."""
    tokenizer = Tokenizer(models.BPE(**model))
    tokenizer.pre_tokenizer = split_by(pattern)
    tokenizer.decoder = decoders.ByteLevel()
    if pattern == "qwen2":
        tokenizer.normalizer = normalizers.NFC()
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(
        vocab_size=vocabulary, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), special_tokens=[END]))
    tokenizer.add_tokens([AddedToken("<think>", normalized=False), AddedToken("<think>\n\n", normalized=False),
                          AddedToken("Å<tool>", normalized=True)])
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"bos_token": None, "eos_token": END}))
    return opened(folder / "tokenizer.json")


def opened(path):
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.encode_special_tokens = True
    return tokenizer


WORDS = ["the", "The", "THE", "Return", "return", "don't", "DON'T", "I'Ll", "we've", "'s", "'S", "'ſ", "'re", "'d", "'", "''", "l'été", "can’t",
         "naïve", "ÅÅ", "A\u030a", "e\u0301", "e\u0301\u0323", "\u1e9b\u0323", "\u0344", "q\u0307\u0323", "\u0301", "각", "\u1100\u1161\u11a8", "가\u11a8",
         "日本語", "中文字", "カタカナ", "ひらがな", "゠", "・", "々", "\u3099", "か\u3099", "漢字A", "漢字a", "aBcDEf", "ABCdef", "ǅ", "ʰ", "ª", "ﬁ",
         "กำ", "नमस्ते", "العربية", "עִבְרִית", "Ωmega", "Ω", "K", "🦓", "👩‍💻", "🏳️‍🌈", "é🦓", "\U0001f1e9\U0001f1ea",
         "0", "12", "123", "1234", "1234567", "٣٤٥", "²³", "½", "Ⅷ", "①", "१२३", "\U0001d7d8", "3.14", "1,000",
         "<think>", "<think>\n\n", "<thin", "Å<tool>", "A\u030a<tool>", END, "<|endof", "/", "//", "/\n", "://", "...", "—", "$", "€", "#include", "_x_",
         "!a", "!!a", ";a;", "~Z", "\u200b", "\u200d", "\ufeff", "\u00ad", "\x00", "\x1c", "\x1f", "\x7f", "\x80", "\u0378", "\U000e0041", "\U0010ffff",
         "\ufffd", "\ue000", "\u180e", "\u2581"]
SPACES = [" ", " ", " ", "  ", "   ", "\n", "\r\n", "\r", "\n\n", " \n", "\n ", "\t", "\t\t", "\x0b", "\x0c", "\x85", "\u00a0", "\u1680", "\u2003", "\u2028",
          "\u2029", "\u202f", "\u3000", "\u3000\u3000"]


def adversarial_texts(count, seed):
    """Words, spaces and any code points in every neighbourhood."""
    draw = random.Random(seed)

    def part():
        kind = draw.random()
        if kind < 0.45:
            return draw.choice(WORDS)
        if kind < 0.75:
            return draw.choice(SPACES)
        if kind < 0.85:
            return "".join(draw.choice("aZ09 \n'.,/éß") for _ in range(draw.randrange(1, 12)))
        if kind < 0.95:
            code = draw.randrange(0x3000)
        else:
            code = draw.randrange(0x110000)
        return chr(code) * draw.choice([1, 1, 1, 2, 5]) if not 0xD800 <= code < 0xE000 else "x"

    return ["".join(part() for _ in range(draw.randrange(1, 24))) for _ in range(count)]


def letters_of_bytes():
    """The letters by which ByteLevel writes the bytes 0 to 255."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = iter(range(0x100, 0x200))
    return [chr(byte) if byte in printable else chr(next(others)) for byte in range(256)]


def of_tiktoken(path, pattern):
    """The tokenizer of a .tiktoken file, whose lines hold the bytes of each token and its rank: the two parts that a token was
    merged from are those that are left when only pairs of lower rank join."""
    ranks = {base64.b64decode(token): int(rank) for token, rank in (line.split() for line in path.read_bytes().splitlines() if line)}
    letters = letters_of_bytes()

    def name(token):
        return "".join(letters[byte] for byte in token)

    def parts_of(token, limit):
        parts = [token[i:i + 1] for i in range(len(token))]
        while len(parts) > 2:
            joined = [ranks.get(a + b, limit) for a, b in zip(parts, parts[1:])]
            best = min(range(len(joined)), key=joined.__getitem__)
            if joined[best] >= limit:
                break
            parts[best:best + 2] = [parts[best] + parts[best + 1]]
        return parts

    pairs = [parts_of(token, rank) for token, rank in sorted(ranks.items(), key=lambda item: item[1]) if len(token) > 1]
    merges = [tuple(map(name, pair)) for pair in pairs if len(pair) == 2]
    tokenizer = Tokenizer(models.BPE({name(token): rank for token, rank in ranks.items()}, merges, ignore_merges=True))
    tokenizer.pre_tokenizer, tokenizer.decoder = split_by(pattern), decoders.ByteLevel()
    tokenizer.add_special_tokens([END])
    return tokenizer
