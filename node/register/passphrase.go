package register

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strings"
)

// A passphrase is made of pronounceable words of five letters, consonant, vowel,
// consonant, vowel, consonant ("proquints"), that read and type alike on French,
// Dutch and English keyboards but for the place of the letters. Each holds 16
// bits. The last word is a check on the others, so that a slip of the fingers is
// told from the passphrase of another bureau, and costs no try.
const (
	passphraseWords = 5 // 80 random bits
	codeWords       = 8 // 128 random bits
	wordLetters     = 5
	consonants      = "bdfghjklmnprstvz"
	vowels          = "aiou"
	// MaxPassphrase is the longest text that is read as a passphrase, in bytes.
	MaxPassphrase = 128
)

// ErrPassphrase says that a text is no passphrase: it was mistyped.
var ErrPassphrase = errors.New("the passphrase has a typing error: copy it again from the letter")

// Passphrase draws a passphrase of 80 random bits and a check word: six words
// of five letters with hyphens between them.
func Passphrase(rand io.Reader) (string, error) { return drawWords(rand, passphraseWords) }

// Code draws the single-use code of a sealed envelope: 128 random bits and a
// check word, nine words of five letters.
func Code(rand io.Reader) (string, error) { return drawWords(rand, codeWords) }

func drawWords(rand io.Reader, words int) (string, error) {
	secret := make([]byte, 2*words)
	defer clear(secret)
	if _, err := io.ReadFull(rand, secret); err != nil {
		return "", fmt.Errorf("draw passphrase: %w", err)
	}
	out := make([]string, 0, words+1)
	for k := 0; k < len(secret); k += 2 {
		out = append(out, proquint(secret[k], secret[k+1]))
	}
	return strings.Join(append(out, checkWord(out)), "-"), nil
}

// ParsePassphrase brings what a person typed to the form that was drawn:
// capitals, spaces, points and hyphens do not matter. It refuses with
// ErrPassphrase what Passphrase and Code can't have drawn.
func ParsePassphrase(text string) (string, error) {
	if len(text) > MaxPassphrase {
		return "", ErrPassphrase
	}
	bare := strings.NewReplacer(" ", "", "-", "", ".", "", "\t", "", "\n", "", "\r", "").Replace(strings.ToLower(text))
	if n := len(bare); n != (passphraseWords+1)*wordLetters && n != (codeWords+1)*wordLetters {
		return "", ErrPassphrase
	}
	var words []string
	for k := 0; k < len(bare); k += wordLetters {
		for j, c := range []byte(bare[k : k+wordLetters]) {
			set := consonants
			if j%2 == 1 {
				set = vowels
			}
			if strings.IndexByte(set, c) < 0 {
				return "", ErrPassphrase
			}
		}
		words = append(words, bare[k:k+wordLetters])
	}
	last := len(words) - 1
	if checkWord(words[:last]) != words[last] {
		return "", ErrPassphrase
	}
	return strings.Join(words, "-"), nil
}

// isCode says whether a text in the form of ParsePassphrase was drawn by Code.
func isCode(secret string) bool { return strings.Count(secret, "-") == codeWords }

func proquint(high, low byte) string {
	v := uint(high)<<8 | uint(low)
	return string([]byte{consonants[v>>12], vowels[v>>10&3], consonants[v>>6&15], vowels[v>>4&3], consonants[v&15]})
}

// checkWord is a public function of the other words: it tells whoever guesses
// nothing that the words themselves do not.
func checkWord(words []string) string {
	sum := sha256.Sum256([]byte("pointage passphrase " + strings.Join(words, "-")))
	return proquint(sum[0], sum[1])
}
