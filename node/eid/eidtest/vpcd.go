package eidtest

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"
)

// Slot is a card in a virtual reader.
type Slot struct {
	conn   net.Conn
	served sync.WaitGroup
}

// The commands of vpcd's protocol that are no commands to the card.
const (
	vpcdOff   = 0
	vpcdOn    = 1
	vpcdReset = 2
	vpcdATR   = 4
)

// Insert puts the card into the virtual reader that listens at an address (host:port). The caller removes it.
func Insert(ctx context.Context, c *Card, address string) (*Slot, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("insert a simulated card: %w", err)
	}
	s := &Slot{conn: conn}
	s.served.Go(func() {
		defer conn.Close()
		for c.serve(conn) == nil {
		}
	})
	return s, nil
}

// Remove pulls the card out.
func (s *Slot) Remove() {
	s.conn.Close()
	s.served.Wait()
}

// serve answers one message: two bytes of length, then one byte for the reader or a command for the card.
func (c *Card) serve(conn net.Conn) error {
	var length [2]byte
	if _, err := io.ReadFull(conn, length[:]); err != nil {
		return err
	}
	message := make([]byte, binary.BigEndian.Uint16(length[:]))
	if _, err := io.ReadFull(conn, message); err != nil {
		return err
	}
	var answer []byte
	switch {
	case len(message) == 1 && message[0] == vpcdATR:
		answer = c.ATR
	case len(message) == 1 && (message[0] == vpcdOff || message[0] == vpcdOn || message[0] == vpcdReset):
		c.reset()
		return nil
	default:
		var err error
		if answer, err = c.Transmit(message); err != nil {
			return err
		}
	}
	_, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...))
	return err
}
