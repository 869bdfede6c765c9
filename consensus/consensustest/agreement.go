package consensustest

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
)

// Applied is one command in the place that the group gave it.
type Applied struct {
	Index   uint64 // Raft index
	Command []byte
}

// Agree checks what the replicas of a group applied, in order, against one another and against the commands whose
// proposers were told that they are committed:
//   - indexes rise on every replica;
//   - every replica's sequence is the beginning of the longest one: the same commands at the same indexes;
//   - every acknowledged command is in the longest sequence.
//
// It returns the first offence, nil for none. Replicas that are behind are no offence.
func Agree(replicas map[string][]Applied, acknowledged [][]byte) error {
	longest := ""
	names := slices.Sorted(maps.Keys(replicas))
	for _, name := range names {
		for i, a := range replicas[name] {
			if i > 0 && a.Index <= replicas[name][i-1].Index {
				return fmt.Errorf("replica %s applied index %d after %d", name, a.Index, replicas[name][i-1].Index)
			}
		}
		if longest == "" || len(replicas[name]) > len(replicas[longest]) {
			longest = name
		}
	}
	for _, name := range names {
		for i, a := range replicas[name] {
			if b := replicas[longest][i]; a.Index != b.Index || !bytes.Equal(a.Command, b.Command) {
				return fmt.Errorf("position %d: replica %s applied %.40q at index %d, replica %s applied %.40q at index %d",
					i, name, a.Command, a.Index, longest, b.Command, b.Index)
			}
		}
	}
	present := map[string]bool{}
	for _, a := range replicas[longest] {
		present[string(a.Command)] = true
	}
	for _, c := range acknowledged {
		if !present[string(c)] {
			return fmt.Errorf("command %.40q was acknowledged and is lost: replica %s, the longest, has %d commands without it",
				c, longest, len(replicas[longest]))
		}
	}
	return nil
}
