package platform

import (
	"encoding/binary"
	"fmt"
	"net/http"
	"regexp"

	"github.com/cockroachdb/pebble/v2"
)

// documentName is the form of a document's name: "minutes.pdf", "minutes-nl.html".
var documentName = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{0,62}$`)

func (c *call) documentKey(name string) []byte {
	return communeKeyed('d', c.commune, append(binary.BigEndian.AppendUint16(nil, uint16(c.bureau)), name...)...)
}

// writeDocument is PUT /communes/{ins}/bureaux/{bureau}/documents/{name}: minutes and other papers
// of a bureau. A document is never replaced: a corrected one has another name.
func (rg *Region) writeDocument(c *call) (*outcome, error) {
	name := c.r.PathValue("name")
	if !documentName.MatchString(name) {
		return refuse(http.StatusBadRequest, "malformed", "a document's name is a-z, 0-9, dots and hyphens"), nil
	}
	raw, out := c.body(MaxDocument)
	if out != nil {
		return out, nil
	}
	key, err := rg.vault.of(c.commune)
	if err != nil {
		return nil, err
	}
	c.lock()
	at := c.documentKey(name)
	sealed, err := rg.st.get(at)
	if err != nil {
		return nil, err
	}
	digest := key.digestOf(raw)
	if sealed != nil {
		have, err := key.unlock(at, sealed)
		if err != nil {
			return nil, fmt.Errorf("open document: %w", err)
		}
		if key.digestOf(have) != digest {
			return refuse(http.StatusConflict, "document is there", "another document has this name: give a corrected one a new name"), nil
		}
		out := &outcome{status: http.StatusNoContent, content: digest, why: "known"}
		return out, nil
	}
	kept := 0
	if err := rg.st.scan(communeKeyed('d', c.commune), func(_, _ []byte) error { kept++; return nil }); err != nil {
		return nil, err
	}
	if kept >= MaxDocuments {
		return refuse(http.StatusInsufficientStorage, "full", fmt.Sprintf("a commune keeps at most %d documents", MaxDocuments)), nil
	}
	out = &outcome{status: http.StatusCreated, content: digest}
	out.change = func(b *pebble.Batch) error { return b.Set(at, key.lock(at, raw), nil) }
	return out, nil
}

// readDocument is GET /communes/{ins}/bureaux/{bureau}/documents/{name}.
func (rg *Region) readDocument(c *call) (*outcome, error) {
	key, err := rg.vault.of(c.commune)
	if err != nil {
		return nil, err
	}
	at := c.documentKey(c.r.PathValue("name"))
	sealed, err := rg.st.get(at)
	if err != nil {
		return nil, err
	}
	if sealed == nil {
		return refuse(http.StatusNotFound, "no such document", "there is no such document"), nil
	}
	raw, err := key.unlock(at, sealed)
	if err != nil {
		return nil, fmt.Errorf("open document: %w", err)
	}
	return &outcome{status: http.StatusOK, kind: "application/octet-stream", body: raw, content: key.digestOf(raw)}, nil
}

// listDocuments is GET /communes/{ins}/bureaux/{bureau}/documents.
func (rg *Region) listDocuments(c *call) (*outcome, error) {
	names := []string{}
	prefix := c.documentKey("")
	err := rg.st.scan(prefix, func(key, _ []byte) error {
		names = append(names, string(key[len(prefix):]))
		return nil
	})
	if err != nil {
		return nil, err
	}
	out := answerJSON(http.StatusOK, names)
	out.count = len(names)
	return out, nil
}
