package web

import (
	"html/template"
	"slices"
	"strings"

	"pointage/ledger"
	"pointage/node/daybook"
)

// messagesPage is what the bureaux say to each other: signed, kept, sealed to them.
var messagesPage = page{name: "messages", who: assessor, nav: true, show: showMessages, acts: map[string]act{"send": sendMessage}}

type messagesData struct {
	// Messages, the newest first, are Part of all.
	Messages []daybook.Message
	Part     stretch
	// Bureaux are those that can be written to.
	Bureaux []ledger.BureauNumber
	Most    int
}

func showMessages(v *visit) (any, error) {
	all, err := v.bureau.Messages(v.r.Context())
	if err != nil {
		return nil, err
	}
	f, err := v.bureau.Flow(v.r.Context())
	if err != nil {
		return nil, err
	}
	out := messagesData{Messages: slices.Clone(all), Most: maxMessage}
	slices.Reverse(out.Messages)
	const around = 300 // of a message's text: whose it is, to whom, when
	out.Part = v.stretch(len(out.Messages), func(i int) int { return around + len(template.HTMLEscapeString(out.Messages[i].Text)) })
	out.Messages = out.Messages[out.Part.From:out.Part.To]
	for _, b := range f.Bureaux {
		if !b.Here {
			out.Bureaux = append(out.Bureaux, b.Bureau)
		}
	}
	return out, nil
}

func sendMessage(v *visit) (reply, error) {
	to, ok, err := v.typed("to", 16)
	if err != nil {
		return reply{}, err
	}
	if !ok {
		return v.told(daybook.NoSuchBureau, "")
	}
	text, err := v.field("text", maxTextField)
	if err != nil {
		return v.told(daybook.MessageUnfit, "")
	}
	why, err := v.bureau.SendMessage(v.r.Context(), ledger.BureauNumber(to), unixLines(text))
	if err != nil {
		return reply{}, err
	}
	return v.told(why, "messages.sent")
}

// unixLines are a form's lines, which browsers end with two characters.
func unixLines(text string) string { return strings.ReplaceAll(text, "\r\n", "\n") }
