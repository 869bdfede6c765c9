package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"pointage/node/machine"
)

// What a bureau needs on the evening before.
const (
	// wantFree is the free space for a day with a wide margin, in bytes.
	wantFree = 512 << 20
	// maxSkew is how far the clock may be from ADELE's: only what people read
	// depends on it.
	maxSkew = 2 * time.Minute
	// probeTimeout bounds one probe.
	probeTimeout = 3 * time.Second
)

// Finding is one thing that Doctor looked at.
type Finding struct {
	OK   bool
	What string
}

// Doctor says whether a stopped bureau is fit for tomorrow: configuration, keys, ports, disk
// space, clock, media and peers. It changes nothing.
func Doctor(ctx context.Context, cfg Config, passphrase string) []Finding {
	var out []Finding
	add := func(ok bool, format string, args ...any) {
		out = append(out, Finding{ok, fmt.Sprintf(format, args...)})
	}
	p, err := ReadPrepared(cfg.Election, cfg.Commune)
	if err != nil {
		add(false, "election: %v", err)
		return out
	}
	if err := p.has(cfg); err != nil {
		add(false, "election: %v", err)
		return out
	}
	add(true, "election: %s, commune %d, %d electors, %d bureaux", p.Manifest.Election, cfg.Commune, p.Commune.Electors, len(p.Commune.Bureaux))
	if k, _, err := p.OpenKeys(cfg.Keys, passphrase, cfg.Bureau); err != nil {
		add(false, "keys: %v", err)
	} else if r, err := p.OpenRegister(k.Identity); err != nil {
		add(false, "register: %v", err)
	} else {
		add(true, "keys and register open: %d electors", r.Len())
		r.Close()
	}
	if c, err := p.witness(cfg); err != nil {
		add(false, "ADELE: %v", err)
	} else {
		c.Close()
		out = append(out, clock(ctx, cfg, p))
	}
	if _, err := os.Stat(cfg.Data); err == nil {
		var l locked
		err := l.lockData(cfg.Data, ownerOf(p.Group, cfg.Bureau))
		if err = inLine(errors.Join(err, l.Close())); err != nil {
			add(false, "data: %v", err)
		}
	}
	out = append(out, media(cfg)...)
	out = append(out, free(cfg)...)
	out = append(out, ports(cfg)...)
	out = append(out, cardReaders(ctx, cfg))
	return append(out, reachable(ctx, cfg, len(p.Commune.Bureaux)-1)...)
}

func media(cfg Config) (out []Finding) {
	there := 0
	for i, m := range cfg.Media {
		if st, err := os.Stat(m); err != nil || !st.IsDir() {
			out = append(out, Finding{true, fmt.Sprintf("medium %d: %s is not attached", i, m)})
			continue
		}
		there++
		f, err := os.CreateTemp(m, ".doctor-*")
		if err != nil {
			out = append(out, Finding{false, fmt.Sprintf("medium %d: %s can't be written: %v", i, m, err)})
			continue
		}
		_, err = f.Write([]byte("pointage"))
		start := time.Now()
		if err == nil {
			err = f.Sync()
		}
		took := time.Since(start)
		f.Close()
		os.Remove(f.Name())
		out = append(out, Finding{err == nil, fmt.Sprintf("medium %d: %s, one write made durable in %v", i, m, took.Round(time.Microsecond))})
	}
	return append(out, Finding{there >= 2, fmt.Sprintf("media: %d of 3 attached, a bureau opens with two", there)})
}

func free(cfg Config) (out []Finding) {
	for _, dir := range append([]string{filepath.Dir(cfg.Data)}, cfg.Media...) {
		n, err := machine.Free(dir)
		if err != nil {
			continue
		}
		out = append(out, Finding{n >= wantFree, fmt.Sprintf("disk: %d MiB free at %s, %d wanted", n>>20, dir, wantFree>>20)})
	}
	return out
}

func ports(cfg Config) (out []Finding) {
	probe := func(network, a string) {
		var l io.Closer
		var err error
		if network == "udp" {
			l, err = net.ListenPacket(network, a)
		} else {
			l, err = net.Listen(network, a)
		}
		if err != nil {
			out = append(out, Finding{false, fmt.Sprintf("port: %s can't be listened at: %v", a, err)})
			return
		}
		l.Close()
		out = append(out, Finding{true, fmt.Sprintf("port: %s is free for %s", a, network)})
	}
	probe("tcp", cfg.API)
	for _, a := range cfg.Listen {
		switch {
		case !strings.HasPrefix(a, "/"): // both, as transport listens
			probe("tcp", a)
			probe("udp", a)
		case strings.Contains(a, "/udp/"):
			probe("udp", hostPort(a))
		default:
			probe("tcp", hostPort(a))
		}
	}
	return out
}

// hostPort is the host:port of a multiaddr such as /ip4/0.0.0.0/tcp/4001.
func hostPort(multiaddr string) string {
	p := strings.Split(multiaddr, "/")
	if len(p) < 5 {
		return multiaddr
	}
	return net.JoinHostPort(p[2], p[4])
}

func clock(ctx context.Context, cfg Config, p *Prepared) Finding {
	url := p.Manifest.Witnesses[0].URL
	if cfg.Witness != "" {
		url = cfg.Witness
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return Finding{false, fmt.Sprintf("ADELE: %v", err)}
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // nothing is left of a probe
	resp, err := client.Do(req)
	if err != nil {
		return Finding{true, fmt.Sprintf("ADELE: %s does not answer; the bureau works without it, the clock was not compared", url)}
	}
	defer resp.Body.Close()
	if _, err := io.CopyN(io.Discard, resp.Body, 1<<20); err != nil && err != io.EOF {
		return Finding{false, fmt.Sprintf("ADELE: %v", err)}
	}
	at, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		return Finding{true, "ADELE: answers; it tells no time, the clock was not compared"}
	}
	skew := time.Since(at).Round(time.Second)
	return Finding{skew.Abs() <= maxSkew, fmt.Sprintf("clock: %v from ADELE's, at most %v", skew, maxSkew)}
}

// reachable says which of the other bureaux, as many as others, are known and answer. None is
// needed to open; a bureau that knows none, and looks for none, waits to be called.
func reachable(ctx context.Context, cfg Config, others int) (out []Finding) {
	known, answer := 0, 0
	for _, p := range cfg.Peers {
		if p.Bureau == cfg.Bureau || len(p.Addresses) == 0 {
			continue
		}
		known++
		what := "does not answer (it may not be up yet)"
		if slices.ContainsFunc(p.Addresses, func(a string) bool { return answers(ctx, a) }) {
			answer++
			what = "answers"
		}
		out = append(out, Finding{true, fmt.Sprintf("bureau %d: %s", p.Bureau, what)})
	}
	what := fmt.Sprintf("peers: the addresses of %d of %d other bureaux are known, %d answer", known, others, answer)
	switch {
	case known >= others:
	case cfg.MDNS:
		what += "; the others are looked for on this site (\"mdns\")"
	default:
		what += "; the others must know this one's, or write theirs as \"peers\""
	}
	return append(out, Finding{true, what})
}

// answers says whether a TCP connection is taken.
func answers(ctx context.Context, a string) bool {
	if strings.HasPrefix(a, "/") {
		a = hostPort(a)
	}
	d := net.Dialer{Timeout: probeTimeout}
	c, err := d.DialContext(ctx, "tcp", a)
	if err != nil {
		return false
	}
	c.Close()
	return true
}
