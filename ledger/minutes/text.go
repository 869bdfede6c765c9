package minutes

import (
	"fmt"
	"strings"
)

// Plain is the document as text, for a terminal and for comparison by eye.
func (d *Document) Plain() string {
	var w strings.Builder
	if d.Banner != "" {
		fmt.Fprintf(&w, "!! %s\n", d.Banner)
	}
	fmt.Fprintf(&w, "%s\n%s\n", d.Title, d.Subtitle)
	for _, b := range d.Blocks {
		switch b := b.(type) {
		case Heading:
			fmt.Fprintf(&w, "\n== %s\n", b.Text)
		case Text:
			fmt.Fprintln(&w, b.Text)
		case Alert:
			fmt.Fprintf(&w, "!! %s\n", b.Text)
		case Facts:
			if b.Caption != "" {
				fmt.Fprintf(&w, "-- %s\n", b.Caption)
			}
			for _, r := range b.Rows {
				fmt.Fprintf(&w, "%s: %s\n", r[0], r[1])
			}
		case Table:
			if b.Caption != "" {
				fmt.Fprintf(&w, "-- %s\n", b.Caption)
			}
			fmt.Fprintf(&w, "[%s]\n", strings.Join(titles(b.Columns), " | "))
			for _, r := range b.Rows {
				fmt.Fprintf(&w, " %s\n", strings.Join(r, " | "))
			}
		case Code:
			fmt.Fprintf(&w, "[%s]\n%s\n", b.Content, b.Text)
		case Signatures:
			fmt.Fprintf(&w, "%s\n%s\n", b.Made, strings.Join(b.Who, "\n"))
		}
	}
	fmt.Fprintf(&w, "\n%s\n", d.Foot)
	return w.String()
}
