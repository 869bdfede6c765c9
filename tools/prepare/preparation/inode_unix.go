//go:build unix

package preparation

import (
	"os"
	"syscall"
)

// inode tells the names of one file from those of others.
func inode(st os.FileInfo) (id [2]uint64, ok bool) {
	s, ok := st.Sys().(*syscall.Stat_t)
	if !ok {
		return id, false
	}
	return [2]uint64{uint64(s.Dev), s.Ino}, true
}

// hasOtherNames says whether a file stands under more than one name.
func hasOtherNames(st os.FileInfo) bool {
	s, ok := st.Sys().(*syscall.Stat_t)
	return ok && s.Nlink > 1
}
