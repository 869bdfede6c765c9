package platform

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// watch groups the logs by origin. Keys are added, never replaced: an origin named twice
// trusts both.
func watch(logs []Log, now time.Time) (map[string]*watchedLog, []string, error) {
	if len(logs) == 0 {
		return nil, nil, errors.New("no log to watch: name at least one")
	}
	keys := make(map[string][]note.Verifier)
	for _, l := range logs {
		v, err := l.verifier()
		if err != nil {
			return nil, nil, fmt.Errorf("watch %s: %w", l.Origin, err)
		}
		known := func(k note.Verifier) bool { return k.Name() == v.Name() && k.KeyHash() == v.KeyHash() }
		// note.VerifierList takes two keys with one name and hash as ambiguous.
		if !slices.ContainsFunc(keys[l.Origin], known) {
			keys[l.Origin] = append(keys[l.Origin], v)
		}
	}
	if len(keys) > MaxLogs {
		return nil, nil, fmt.Errorf("%d logs to watch, at most %d are allowed", len(keys), MaxLogs)
	}
	watched := make(map[string]*watchedLog, len(keys))
	origins := make([]string, 0, len(keys))
	for origin, verifiers := range keys {
		if len(verifiers) > MaxKeysPerLog {
			return nil, nil, fmt.Errorf("%d keys for %s, at most %d are allowed", len(verifiers), origin, MaxKeysPerLog)
		}
		watched[origin] = &watchedLog{
			origin:    origin,
			verifiers: note.VerifierList(verifiers...),
			news:      newBucket(MaxNewPerSecond, MaxNewBurst, now),
			repeats:   newBucket(MaxRepeatsPerSecond, MaxRepeatsBurst, now),
		}
		origins = append(origins, origin)
	}
	slices.Sort(origins)
	return watched, origins, nil
}
