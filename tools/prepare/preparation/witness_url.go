package preparation

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// CheckWitnessURL says why an address can't be a witness's submission prefix (C2SP
// tlog-witness): http or https, a host, perhaps a port and a path, nothing else.
func CheckWitnessURL(address string) error {
	u, err := url.Parse(address)
	if err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" && u.User == nil &&
		u.RawQuery == "" && !u.ForceQuery && u.Fragment == "" && goodPort(u) {
		return nil
	}
	return fmt.Errorf("%.200q is no witness's address: write http(s)://host[:port][/prefix]", address)
}

func goodPort(u *url.URL) bool {
	if u.Port() == "" {
		return !strings.HasSuffix(u.Host, ":")
	}
	n, err := strconv.ParseUint(u.Port(), 10, 16)
	return err == nil && n > 0
}
