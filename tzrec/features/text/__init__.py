"""Text values: spans of Arrow buffers, words, pairs, tokenizers and text cleaning."""
