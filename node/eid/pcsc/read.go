package pcsc

import (
	"errors"
	"fmt"

	"github.com/ElMostafaIdrassi/goscard"

	"pointage/node/eid"
)

// reading reads the card in one reader and tells what came of it, unless the card has left meanwhile. It has a connection
// to PC/SC of its own, so that a slow card keeps nobody from seeing what happens at the other readers.
func (w *watch) reading(reader, raw string, visit int) {
	e, ok := w.read(reader, raw)
	w.mu.Lock()
	delete(w.running, visit)
	w.mu.Unlock()
	if ok {
		w.tell(func(s *seats) []news { return s.finished(reader, visit, e) })
	}
}

// read is the event; not ok means that the card left, which is told by whoever sees the reader empty.
func (w *watch) read(reader, raw string) (e eid.Event, ok bool) {
	pc, ret, err := goscard.NewContext(goscard.SCardScopeSystem, nil, nil)
	if failed(ret, err) != nil {
		return e, false // the service has gone: so have the readers
	}
	defer pc.Release()
	trouble := eid.ReaderFails
	for range 2 {
		id, found, err := w.once(pc, raw)
		switch {
		case err == nil && found == 0:
			return eid.Event{Kind: eid.CardRead, Reader: reader, Identity: id}, true
		case err == nil:
			return eid.Event{Kind: eid.Troubled, Reader: reader, Trouble: found}, true
		}
		if left(pc, raw) {
			return e, false
		}
		trouble = about(err)
		if trouble == eid.InUse || trouble == eid.NotBelgian {
			break
		}
	}
	return eid.Event{Kind: eid.Troubled, Reader: reader, Trouble: trouble}, true
}

// about is the trouble that PC/SC's answer means.
func about(err error) eid.Trouble {
	switch {
	case errors.Is(err, code(sharingViolation)):
		return eid.InUse
	case errors.Is(err, code(protocolMismatch)), errors.Is(err, code(unsupportedCard)):
		return eid.NotBelgian
	case errors.Is(err, code(unresponsiveCard)):
		return eid.Unresponsive
	}
	return eid.ReaderFails
}

// left waits a while for the reader to notice that it is empty.
func left(pc goscard.Context, raw string) bool {
	state := []goscard.SCardReaderState{{Reader: raw + "\x00"}}
	ret, err := pc.GetStatusChange(goscard.NewTimeout(0), state)
	for first := true; failed(ret, err) == nil; first = false {
		if state[0].EventState&goscard.SCardStatePresent == 0 {
			return true
		}
		if !first {
			return false
		}
		state[0].CurrentState = state[0].EventState &^ goscard.SCardStateChanged
		ret, err = pc.GetStatusChange(goscard.NewTimeout(settle), state)
	}
	return !errors.Is(failed(ret, err), code(timedOut))
}

// once connects to the card, holds it for itself and reads it.
func (w *watch) once(pc goscard.Context, raw string) (eid.Identity, eid.Trouble, error) {
	card, ret, err := pc.Connect(raw, goscard.SCardShareShared, goscard.SCardProtocolAny)
	if err := failed(ret, err); err != nil {
		return eid.Identity{}, 0, fmt.Errorf("connect to the card: %w", err)
	}
	defer card.Disconnect(goscard.SCardLeaveCard)
	ret, err = card.BeginTransaction()
	if err := failed(ret, err); err != nil {
		return eid.Identity{}, 0, fmt.Errorf("hold the card: %w", err)
	}
	defer card.EndTransaction(goscard.SCardLeaveCard)
	return eid.Read(connected{card}, w.roots)
}

// connected is a card that this process holds.
type connected struct{ card goscard.Card }

func (c connected) T0() bool { return c.card.ActiveProtocol() != goscard.SCardProtocolT1 }

func (c connected) Transmit(command []byte) ([]byte, error) {
	protocol := &goscard.SCardIoRequestT0
	if !c.T0() {
		protocol = &goscard.SCardIoRequestT1
	}
	answer, ret, err := c.card.Transmit(protocol, command, nil)
	if err := failed(ret, err); err != nil {
		return nil, err
	}
	return answer, nil
}
