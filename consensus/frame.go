package consensus

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
)

// Under ProtocolPropose both sides send frames:
//
//	length  4 bytes, big endian, of what follows
//	code    1 byte: what is asked, or how it ended
//	id      8 bytes, big endian: chosen by the asking side, repeated in the answer
//	payload the rest
//
// Answers come in any order. Whatever doesn't fit ends the connection.
const (
	frameHead = 4
	frameMin  = 1 + 8

	askPropose byte = 1 // payload: a command
	askJoin    byte = 2 // payload: a server ID

	answerReply     byte = 1 // payload: the state machine's reply; empty for a join
	answerNotLeader byte = 2 // payload: the peer ID of the leader, empty for none known; nothing was done
	answerBusy      byte = 3 // nothing was done
	answerTooLarge  byte = 4 // nothing was done
	answerUnknown   byte = 5 // the command may be committed or not
	answerRefused   byte = 6 // payload: why a join is refused, in words
)

// frame is one of them.
type frame struct {
	code    byte
	id      uint64
	payload []byte
}

// bytes returns the frame as it is sent.
func (f frame) bytes() []byte {
	b := make([]byte, 0, frameHead+frameMin+len(f.payload))
	b = binary.BigEndian.AppendUint32(b, uint32(frameMin+len(f.payload)))
	b = append(b, f.code)
	b = binary.BigEndian.AppendUint64(b, f.id)
	return append(b, f.payload...)
}

// readFrame reads one frame whose payload has at most largest bytes.
func readFrame(r *bufio.Reader, largest int) (frame, error) {
	var head [frameHead + frameMin]byte
	if _, err := io.ReadFull(r, head[:frameHead]); err != nil {
		return frame{}, err // io.EOF between two frames is how a connection ends
	}
	size := binary.BigEndian.Uint32(head[:])
	if size < frameMin || uint64(size) > uint64(frameMin+largest) {
		return frame{}, fmt.Errorf("read frame: %d bytes, not %d to %d", size, frameMin, frameMin+largest)
	}
	if _, err := io.ReadFull(r, head[frameHead:]); err != nil {
		return frame{}, fmt.Errorf("read frame: %w", err)
	}
	f := frame{code: head[frameHead], id: binary.BigEndian.Uint64(head[frameHead+1:])}
	f.payload = make([]byte, size-frameMin)
	if _, err := io.ReadFull(r, f.payload); err != nil {
		return frame{}, fmt.Errorf("read frame: %w", err)
	}
	return f, nil
}
