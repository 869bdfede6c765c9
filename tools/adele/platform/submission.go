package platform

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// A submission is the parsed body of add-checkpoint (C2SP tlog-witness v1.0.0).
type submission struct {
	old   int64
	proof tlog.TreeProof
	note  []byte // the checkpoint: text, empty line, signature lines
}

// A checkpoint is the text of a C2SP tlog-checkpoint v1.0.0.
type checkpoint struct {
	origin string
	size   int64
	root   tlog.Hash
}

// emptyRoot is the root of the tree without leaves (RFC 6962 §2.1).
var emptyRoot = tlog.Hash(sha256.Sum256(nil))

// parseSubmission reads body strictly: one form per meaning, so that what is kept
// as evidence reads the same for everybody.
func parseSubmission(body []byte) (submission, error) {
	head, signed, ok := bytes.Cut(body, []byte("\n\n"))
	if !ok {
		return submission{}, errors.New("no empty line before the checkpoint")
	}
	lines := strings.Split(string(head), "\n")
	number, ok := strings.CutPrefix(lines[0], "old ")
	if !ok {
		return submission{}, errors.New(`the first line is not "old <size>"`)
	}
	old, err := parseSize(number)
	if err != nil {
		return submission{}, fmt.Errorf("read old size: %w", err)
	}
	lines = lines[1:]
	if len(lines) > MaxProof {
		return submission{}, fmt.Errorf("%d proof lines, at most %d are allowed", len(lines), MaxProof)
	}
	proof := make(tlog.TreeProof, 0, len(lines))
	for _, line := range lines {
		hash, err := parseHash(line)
		if err != nil {
			return submission{}, fmt.Errorf("read proof line: %w", err)
		}
		proof = append(proof, hash)
	}
	return submission{old: old, proof: proof, note: signed}, nil
}

// originOf is the first line of a note, before anything about it is verified.
func originOf(signed []byte) string {
	origin, _, _ := bytes.Cut(signed, []byte("\n"))
	return string(origin)
}

// parseCheckpoint reads the text of a note whose signature has been verified.
// Extension lines are allowed and ignored, empty ones refused.
func parseCheckpoint(text string) (checkpoint, error) {
	if len(text) > MaxText {
		return checkpoint{}, fmt.Errorf("the text has %d bytes, at most %d are allowed", len(text), MaxText)
	}
	body, ok := strings.CutSuffix(text, "\n")
	if !ok {
		return checkpoint{}, errors.New("the text does not end with a newline")
	}
	lines := strings.Split(body, "\n")
	if len(lines) < 3 {
		return checkpoint{}, errors.New("fewer than three lines")
	}
	size, err := parseSize(lines[1])
	if err != nil {
		return checkpoint{}, fmt.Errorf("read tree size: %w", err)
	}
	root, err := parseHash(lines[2])
	if err != nil {
		return checkpoint{}, fmt.Errorf("read root: %w", err)
	}
	for _, line := range append(lines[:1:1], lines[3:]...) {
		if line == "" {
			return checkpoint{}, errors.New("an empty line in the text")
		}
	}
	return checkpoint{origin: lines[0], size: size, root: root}, nil
}

// parseSize reads a decimal without sign or leading zeroes.
func parseSize(s string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 || strconv.FormatInt(n, 10) != s {
		return 0, errors.New("not a plain decimal number")
	}
	return n, nil
}

// parseHash reads 32 bytes in canonical base64 (RFC 4648 §4, padding bits zero).
func parseHash(s string) (tlog.Hash, error) {
	raw, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil || len(raw) != tlog.HashSize || strings.ContainsAny(s, "\r\n") {
		return tlog.Hash{}, errors.New("not 32 bytes in base64")
	}
	return tlog.Hash(raw), nil
}
