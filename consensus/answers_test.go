package consensus

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"testing"
	"time"
)

// withSeals gives each machine of a cluster its seals.
func withSeals(c *cluster) map[string]*seals {
	all := map[string]*seals{}
	for _, p := range c.peers {
		all[p] = &seals{peer: p}
	}
	c.answers = func(peer string) Answers { return all[peer] }
	return all
}

// reply proposes once and returns the reply.
func (c *cluster) reply(at, command string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	reply, err := c.group(at).Propose(ctx, []byte(command))
	return string(reply), err
}

func TestAnswerUnderAWrongSealIsNone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 3, 1, withPrincipal)
		all := withSeals(c)
		c.start(c.peers...)
		c.until(10*time.Second, "m0 leads", c.leads("m0"))
		c.propose("m3", "before")
		all["m0"].lies.Store(true)
		for i := range 10 { // a lie, or no word at all
			if reply, err := c.reply("m3", fmt.Sprint("lied-", i)); !isOneOf(err, ErrUnknownOutcome) || reply != "" {
				t.Errorf("a lie was answered: %q, %v", reply, err)
			}
		}
		if _, err := c.reply("m0", "own"); err != nil {
			t.Errorf("the leader's own proposal: %v", err)
		}
		all["m0"].lies.Store(false)
		first := map[string]string{}
		for _, a := range c.machines["m0"].Log() {
			first[string(a.Command)] = fmt.Sprint(a.Index)
		}
		for i := range 10 { // the same bytes hear what became of them the first time
			command := fmt.Sprint("lied-", i)
			if reply, err := c.reply("m3", command); err != nil || reply != first[command] {
				t.Errorf("%s is answered %q (%v), it was applied at %s", command, reply, err, first[command])
			}
		}
		c.level(5 * time.Second)
		c.end()
	})
}

// The answer to one command, or of one leader, is none to another.
func TestSealIsOfOneCommandAndOneLeader(t *testing.T) {
	one, two := &seals{peer: "m1"}, &seals{peer: "m2"}
	sealed, _ := one.Seal([]byte("a"), []byte("reply"))
	if reply, err := two.Open("m1", []byte("a"), sealed); err != nil || string(reply) != "reply" {
		t.Errorf("%q, %v", reply, err)
	}
	for _, other := range []struct{ leader, command string }{{"m1", "b"}, {"m2", "a"}} {
		if _, err := two.Open(other.leader, []byte(other.command), sealed); err == nil {
			t.Errorf("opened as the answer of %s to %s", other.leader, other.command)
		}
	}
}

// longest replies with MaxReply bytes.
type longest struct{ counter }

func (l *longest) Apply(first uint64, commands [][]byte) [][]byte {
	replies := l.counter.Apply(first, commands)
	for i := range replies {
		replies[i] = append(replies[i], make([]byte, MaxReply-len(replies[i]))...)
	}
	return replies
}

func (l *longest) Snapshot(io.Writer) error { return nil }

// padded adds MaxSeal bytes.
type padded struct{}

func (padded) Seal(_, reply []byte) ([]byte, bool) {
	return append(bytes.Clone(reply), make([]byte, MaxSeal)...), true
}

func (padded) Open(_ string, _, sealed []byte) ([]byte, error) {
	return sealed[:len(sealed)-MaxSeal], nil
}

func TestLongestReplyPassesUnderTheLongestSeal(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 3, 0, withPrincipal)
		c.answers = func(string) Answers { return padded{} }
		var groups []*Group
		for _, p := range c.peers {
			g, err := startOver(c.configOf(p).withDefaults(), c.network.Host(p), &longest{}, c.stores[p])
			if err != nil {
				t.Fatal(err)
			}
			groups = append(groups, g)
		}
		c.until(10*time.Second, "m0 leads", func() bool { l, _ := groups[1].Leader(); return groups[0].IsLeader() && l == "m0" })
		if reply, err := groups[1].Propose(t.Context(), []byte("a")); err != nil || len(reply) != MaxReply {
			t.Errorf("a reply of %d bytes: %v", len(reply), err)
		}
		for _, g := range groups {
			if err := g.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestConnectionThatBreaksBeforeTheAnswerLeavesTheOutcomeUnknown(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 3, 0, withPrincipal)
		c.start(c.peers...)
		c.until(10*time.Second, "m0 leads", c.leads("m0"))
		c.propose("m1", "before")
		c.stop("m0")
		c.machines["m0"].Slow = 400 * time.Millisecond // between the commit and the answer
		c.start("m0")
		c.until(time.Minute, "m0 leads again, and m1 knows it", func() bool {
			l, _ := c.group("m1").Leader()
			return c.group("m0").IsLeader() && l == "m0"
		})
		told := make(chan error, 1)
		go func() {
			_, err := c.reply("m1", "cut")
			told <- err
		}()
		<-time.After(200 * time.Millisecond)
		c.network.Break("m0", "m1")
		if err := <-told; !isOneOf(err, ErrUnknownOutcome) || isOneOf(err, ErrNoLeader) {
			t.Errorf("%v, want ErrUnknownOutcome", err)
		}
		c.until(10*time.Second, "the command is applied all the same", func() bool { return c.machines["m2"].Len() == 2 })
		c.end()
	})
}
