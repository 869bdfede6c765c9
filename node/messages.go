package node

import (
	"context"
	"fmt"
	"net/http"

	"pointage/ledger"
	"pointage/ledger/plaintext"
	"pointage/node/daybook"
)

// MaxMessagesShown is how many messages are listed, the newest.
const MaxMessagesShown = 500

// Messages lists the words among the bureaux that are for this one or for all, and its own, oldest first; at the
// principal bureau and its deputy all of them.
func (n *Node) Messages(ctx context.Context) ([]daybook.Message, error) {
	if err := n.enter(); err != nil {
		return nil, err
	}
	defer n.acts.RUnlock()
	book, err := n.today(ctx)
	if err != nil {
		return nil, err
	}
	out := []daybook.Message{}
	for _, x := range book.Messages() {
		if x.To != 0 && x.To != n.cfg.Bureau && x.From != n.cfg.Bureau && !n.leads() {
			continue
		}
		m := daybook.Message{From: x.From, To: x.To, Time: x.Time, Record: fmt.Sprintf("%x/%d", x.Record.Session, x.Record.Sequence)}
		o := n.openText(x)
		if o.queue != nil {
			continue
		}
		if m.Unreadable = o.text == nil; o.text != nil {
			m.Text = o.text.Text
		}
		out = append(out, m)
	}
	return out[max(0, len(out)-MaxMessagesShown):], nil
}

// openedText is a message's content, one of the two, or neither for what is not one of its bureau's.
type openedText struct {
	text  *plaintext.Text
	queue *plaintext.Queue
}

// openText opens a message, each once: the screens ask again and again.
func (n *Node) openText(x daybook.Sealed) openedText {
	n.day.mu.Lock()
	defer n.day.mu.Unlock()
	key := openedKey{x.From, x.Record}
	if o, known := n.day.opened[key]; known {
		return o
	}
	var o openedText
	if plain, err := n.register.OpenText(x.Text); err == nil {
		t, q, err := plaintext.DecodeMessage(plain)
		switch {
		case err != nil:
		case t != nil && t.From == x.From && t.To == x.To:
			o.text = t
		case q != nil && q.From == x.From:
			o.queue = q
		}
	}
	if n.day.opened == nil || len(n.day.opened) >= 2*daybook.MaxMessages {
		n.day.opened = map[openedKey]openedText{}
	}
	n.day.opened[key] = o
	return o
}

// openedKey names a message.
type openedKey struct {
	from   ledger.BureauNumber
	record ledger.StatementID
}

// SendMessage states a word to another bureau of the commune, or to all (0): signed in this bureau's chain,
// sealed so that only those who open the commune's register can read it.
func (n *Node) SendMessage(ctx context.Context, to ledger.BureauNumber, text string) (daybook.Refusal, error) {
	return n.state(ctx, func(*daybook.Book) (ledger.Body, daybook.Refusal, error) {
		switch {
		case to != 0 && n.prepared.Commune.Bureau(to) == nil:
			return nil, daybook.NoSuchBureau, nil
		case plaintext.CheckText(text) != nil:
			return nil, daybook.MessageUnfit, nil
		}
		t := plaintext.Text{From: n.cfg.Bureau, To: to, Text: text}
		sealed, err := n.register.SealText(t.Encode())
		return &ledger.Message{To: to, Sealed: sealed}, daybook.Recorded, err
	})
}

func (a *api) messages(r *http.Request) (any, error) { return a.node.Messages(r.Context()) }

func (a *api) sendMessage(r *http.Request) (any, error) {
	var in struct {
		To   ledger.BureauNumber `json:"to"`
		Text string              `json:"text"`
	}
	if err := readJSON(r, &in); err != nil {
		return nil, err
	}
	return actAnswerOf(a.node.SendMessage(r.Context(), in.To, in.Text))
}
