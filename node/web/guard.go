package web

import (
	"net"
	"net/http"
	"strings"
)

const (
	// maxForm is the length of a form, in bytes.
	maxForm = 64 << 10
	// tokenField is the form's field that holds the session's token.
	tokenField = "token"
)

// secured sets what every answer carries: nothing but this program's own files runs or is shown, nobody frames it,
// nothing is kept. Referrers stay within, since a page without any would send the Origin "null".
func secured(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "+
		"form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=(), payment=(), usb=()")
	h.Set("Cache-Control", "no-store")
}

// stranger says why a request is not from a page of these screens, "" when it is. The Host must be the very address
// that the connection came to, so that no name of somebody else's leads here (DNS rebinding); a form must come
// from a page of this origin; and no other site may even link here.
func stranger(r *http.Request) string {
	if !ownHost(r) {
		return "this is not the address of the screens"
	}
	own := scheme(r) + "://" + r.Host
	origins := r.Header.Values("Origin")
	for _, o := range origins {
		if o != own {
			return "not a page of these screens"
		}
	}
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" && site != "none" {
		return "not a page of these screens"
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead && len(origins) != 1 {
		return "a form without its origin"
	}
	return ""
}

func scheme(r *http.Request) string {
	if r.TLS != nil {
		return "https"
	}
	return "http"
}

// ownHost compares Host with the connection's own address.
func ownHost(r *http.Request) bool {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	if !ok {
		return false
	}
	host, port, err := net.SplitHostPort(r.Host)
	if err != nil { // the scheme's own port is left out
		host, port = strings.Trim(r.Host, "[]"), map[string]string{"http": "80", "https": "443"}[scheme(r)]
	}
	if _, want, err := net.SplitHostPort(local.String()); err != nil || port != want {
		return false
	}
	if host == "localhost" {
		return local.IP.IsLoopback()
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.Equal(local.IP)
}

// formed reads a form: bounded, and of the one kind that our pages send. The status is 0 when it is good.
func formed(w http.ResponseWriter, r *http.Request) (status int) {
	if r.ContentLength > maxForm {
		return http.StatusRequestEntityTooLarge
	}
	if kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); kind != "application/x-www-form-urlencoded" {
		return http.StatusUnsupportedMediaType
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		if strings.Contains(err.Error(), "too large") {
			return http.StatusRequestEntityTooLarge
		}
		return http.StatusBadRequest
	}
	return 0
}
