package node

import (
	"context"
	"fmt"
	"net/http"
	"strconv"

	"pointage/ledger"
	"pointage/ledger/minutes"
)

// file is an answer that is no JSON.
type file struct {
	kind, name string
	body       []byte
}

// writeFileAnswer sends a document. It may hold names: no cache keeps it.
func writeFileAnswer(w http.ResponseWriter, f file) {
	h := w.Header()
	h.Set("Content-Type", f.kind)
	h.Set("Content-Disposition", fmt.Sprintf("inline; filename=%q", f.name))
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(f.body) // the client is gone otherwise
}

// document answers with a document in the form and language that the request names.
func document(name string, draw func(context.Context, minutes.Language) (*minutes.Document, error)) func(*http.Request) (any, error) {
	return func(r *http.Request) (any, error) {
		lang, ok := minutes.ParseLanguage(r.FormValue("lang"))
		if !ok {
			return nil, badRequest(`"lang" must be fr or nl`)
		}
		format := r.FormValue("format")
		if format != "pdf" && format != "html" {
			return nil, badRequest(`"format" must be pdf or html`)
		}
		doc, err := draw(r.Context(), lang)
		if err != nil {
			return nil, err
		}
		f := file{kind: "application/pdf", name: fmt.Sprintf("%s-%v.%s", name, lang, format)}
		if format == "html" {
			f.kind = "text/html; charset=utf-8"
			f.body, err = doc.HTML()
		} else {
			f.body, err = doc.PDF()
		}
		return f, err
	}
}

// minutes answers with the minutes of the bureau that the request names, 0 for the commune's; without one of this one's.
func (a *api) minutes(r *http.Request) (any, error) {
	of, err := a.bureauOf(r.FormValue("bureau"))
	if err != nil {
		return nil, err
	}
	return document(fmt.Sprintf("minutes-%d-%d", a.node.cfg.Commune, of), func(ctx context.Context, lang minutes.Language) (*minutes.Document, error) {
		return a.node.Minutes(ctx, of, lang)
	})(r)
}

func (a *api) bureauOf(text string) (ledger.BureauNumber, error) {
	if text == "" {
		return a.node.cfg.Bureau, nil
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n != 0 && a.node.prepared.Commune.Bureau(ledger.BureauNumber(n)) == nil {
		return 0, badRequest(`"bureau" must be a bureau of this commune, or 0 for the commune`)
	}
	return ledger.BureauNumber(n), nil
}

// recordMinutes states the minutes' SHA-256.
func (a *api) recordMinutes(r *http.Request) (any, error) {
	var in struct {
		Bureau *ledger.BureauNumber `json:"bureau"`
	}
	if err := readJSON(r, &in); err != nil {
		return nil, err
	}
	of := a.node.cfg.Bureau
	if in.Bureau != nil {
		of = *in.Bureau
	}
	if of != 0 && a.node.prepared.Commune.Bureau(of) == nil {
		return nil, badRequest(`"bureau" must be a bureau of this commune, or 0 for the commune`)
	}
	m, err := a.node.RecordMinutes(r.Context(), of)
	if err != nil {
		return nil, err
	}
	return struct {
		Bureau ledger.BureauNumber `json:"bureau"`
		French string              `json:"french"`
		Dutch  string              `json:"dutch"`
	}{m.Bureau, m.French.String(), m.Dutch.String()}, nil
}
