package simulation

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/BurntSushi/toml"

	"pointage/node"
	"pointage/tools/prepare/preparation"
)

// twice is how many electors are sent to both histories of a bureau.
const twice = 5

// ordinary draws a bureau other than the principal's, where there is one.
func (d *day) ordinary(r *rand.Rand) int {
	others := d.others(d.index[d.prepared.Commune.Principal])
	if len(others) == 0 {
		return 0
	}
	return others[r.IntN(len(others))]
}

// untilEmpty waits for the end of the queues.
func (d *day) untilEmpty(ctx context.Context) {
	select {
	case <-d.emptied:
	case <-ctx.Done():
	}
}

// importAt has the principal bureau read a bureau's media in the evening.
func (d *day) importAt(ctx context.Context, u *bureau, keys, passFile string, media ...string) error {
	pass, err := os.ReadFile(passFile)
	if err != nil {
		return fmt.Errorf("read passphrase: %w", err)
	}
	principal := d.bureaux[d.index[d.prepared.Commune.Principal]]
	got, err := principal.Import(ctx, node.OldMedia{Bureau: u.number, Keys: keys, Passphrase: string(pass), Media: media})
	if err != nil {
		return err
	}
	d.say("imported bureau %d: %d batches, %d conflicts, %d contradicted", u.number, got.Batches, got.Conflicts, got.Contradicted)
	if got.Batches == 0 || got.Rejected > 0 {
		return fmt.Errorf("imported %d batches of bureau %d, %d were rejected", got.Batches, u.number, got.Rejected)
	}
	return nil
}

// isolated: a bureau that never had a network carries its keys to the principal bureau.
func (d *day) isolated(ctx context.Context, r *rand.Rand) error {
	i := d.ordinary(r)
	u := d.bureaux[i]
	d.cables.CutOff([]int{i}, d.others(i))
	d.setCut([]int{i})
	d.untilEmpty(ctx)
	if err := u.Close(ctx); err != nil {
		return err
	}
	if err := u.Stop(); err != nil {
		return err
	}
	if err := d.importAt(ctx, u, u.config.Keys, u.config.PassphraseFile, filepath.Join(u.dir, "key1"), filepath.Join(u.dir, "key2")); err != nil {
		return err
	}
	d.cables.Heal()
	d.setCut(nil)
	return u.Start(context.WithoutCancel(ctx))
}

// keyDead: a key breaks in mid-queue and a blank one takes its place; then the other goes, and the
// bureau starts with the disk and the new one.
func (d *day) keyDead(ctx context.Context, r *rand.Rand) error {
	i := d.anyBureau(r)
	u := d.bureaux[i]
	key := filepath.Join(u.dir, "key2")
	if err := os.RemoveAll(key); err != nil {
		return err
	}
	sleep(ctx, d.while(0.1))
	if err := os.Mkdir(key, 0o700); err != nil {
		return err
	}
	if err := u.Replace(ctx, 2); err != nil {
		return fmt.Errorf("replace the key of bureau %d: %w", u.number, err)
	}
	sleep(ctx, time.Second)
	return d.down(ctx, i, true, time.Second, func() error { return os.RemoveAll(filepath.Join(u.dir, "key1")) })
}

// machineAndKeyDead: the sealed envelope's machine takes over with media of its own. It
// holds no right; in the evening the key that is left is read.
func (d *day) machineAndKeyDead(ctx context.Context, r *rand.Rand) error {
	i := d.ordinary(r)
	u := d.bureaux[i]
	was, key := u.config, filepath.Join(u.dir, "key1")
	err := d.downBetween(ctx, i, time.Second, func() error {
		for _, lost := range []string{"disk", "data", "key2"} {
			if err := os.RemoveAll(filepath.Join(u.dir, lost)); err != nil {
				return err
			}
		}
		keys := filepath.Dir(was.Keys)
		u.dir += "-next"
		u.config.Keys, u.config.PassphraseFile = filepath.Join(keys, preparation.EnvelopeFile(1)), filepath.Join(keys, preparation.CodeFile(1))
		return d.found(u)
	})
	if err != nil {
		return err
	}
	if err := u.Open(ctx); err != nil {
		return err
	}
	d.untilEmpty(ctx)
	return d.importAt(ctx, u, was.Keys, was.PassphraseFile, key)
}

// cloned: copies of all media work elsewhere, with no network, for the rest of the day.
func (d *day) cloned(ctx context.Context, r *rand.Rand) error {
	i := d.ordinary(r)
	u := d.bureaux[i]
	d.cables.CutOff([]int{i}, d.others(i))
	d.setCut([]int{i})
	clone := &bureau{number: u.number, dir: u.dir + "-clone", config: u.config}
	if err := d.downBetween(ctx, i, 0, func() error { return copyMedia(clone.dir, u.dir, u.config.Media) }); err != nil {
		return err
	}
	if err := d.elsewhere(clone); err != nil {
		return err
	}
	if err := clone.Start(ctx); err != nil {
		return err
	}
	defer func() { _ = clone.Stop() }() // stopped already, but for an error
	if n := d.admitTwice(ctx, u, clone); n == 0 {
		return errors.New("nobody was left to be admitted twice")
	}
	d.untilEmpty(ctx)
	if err := clone.Stop(); err != nil {
		return err
	}
	d.cables.Heal()
	d.setCut(nil)
	return d.importAt(ctx, u, u.config.Keys, u.config.PassphraseFile, filepath.Join(clone.dir, "key1"), filepath.Join(clone.dir, "key2"))
}

// elsewhere gives a bureau that was copied addresses of its own and no peers.
func (d *day) elsewhere(u *bureau) error {
	listen, err := freePort()
	if err != nil {
		return err
	}
	if u.config.API, err = freePort(); err != nil {
		return err
	}
	u.config.Listen, u.config.Peers = []string{multiaddr(listen)}, nil
	f, err := os.Create(filepath.Join(u.dir, node.ConfigFile))
	if err != nil {
		return err
	}
	if err := errors.Join(toml.NewEncoder(f).Encode(u.config), f.Close()); err != nil {
		return err
	}
	return d.equip(u)
}

// rolledBack: disk and one key are put back to an earlier state while the other key is away, and the
// bureau, without a network, forgets whom it admitted. In the evening that key is read.
func (d *day) rolledBack(ctx context.Context, r *rand.Rand) error {
	i := d.ordinary(r)
	u := d.bureaux[i]
	d.cables.CutOff([]int{i}, d.others(i))
	d.setCut([]int{i})
	saved, kept := u.dir+"-saved", filepath.Join(u.dir, "key2.kept")
	if err := d.downBetween(ctx, i, 0, func() error { return copyMedia(saved, u.dir, u.config.Media[:2]) }); err != nil {
		return err
	}
	again := d.admitHere(ctx, u, twice)
	err := d.downBetween(ctx, i, time.Second, func() error {
		if err := os.Rename(filepath.Join(u.dir, "key2"), kept); err != nil {
			return err
		}
		for _, lost := range []string{"disk", "key1", "data"} {
			if err := os.RemoveAll(filepath.Join(u.dir, lost)); err != nil {
				return err
			}
		}
		return copyMedia(u.dir, saved, u.config.Media[:2])
	})
	if err != nil {
		return err
	}
	n := 0
	for _, v := range again {
		if ans, err := d.tryAt(ctx, v, u, attempt{visitor: v, at: u.number, second: true}, false); err == nil && ans.Admitted {
			n++
		}
	}
	if n == 0 {
		return errors.New("nobody was admitted twice")
	}
	d.untilEmpty(ctx)
	d.cables.Heal()
	d.setCut(nil)
	return d.importAt(ctx, u, u.config.Keys, u.config.PassphraseFile, kept)
}

// admitHere admits electors at home who had not come yet.
func (d *day) admitHere(ctx context.Context, u *bureau, most int) (out []*visitor) {
	for i := range d.visitors {
		v := &d.visitors[i]
		if len(out) == most {
			break
		}
		if v.home != u.number || d.told.has(v.elector) {
			continue
		}
		if ans, err := d.tryAt(ctx, v, u, attempt{visitor: v, at: u.number}, false); err == nil && ans.Admitted {
			out = append(out, v)
		}
	}
	return out
}

// admitTwice sends electors to a bureau and to its clone, and says how many both admitted.
func (d *day) admitTwice(ctx context.Context, u, clone *bureau) (n int) {
	for _, v := range d.admitHere(ctx, u, twice) {
		if ans, err := d.tryAt(ctx, v, clone, attempt{visitor: v, at: u.number, second: true}, false); err == nil && ans.Admitted {
			n++
		}
	}
	return n
}

// copyMedia copies media whole from one directory to another.
func copyMedia(to, from string, media []string) error {
	for _, m := range media {
		if err := os.CopyFS(filepath.Join(to, m), os.DirFS(filepath.Join(from, m))); err != nil {
			return fmt.Errorf("copy medium: %w", err)
		}
	}
	return nil
}
