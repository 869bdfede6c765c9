package consensus

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"slices"
)

// bbolt trusts its file: a damaged page makes it panic in a goroutine of its own, or read beyond its memory map, and a
// damaged meta page makes it go back by one transaction without a word, which to Raft is a broken promise. So the file's
// structure is read through once before bbolt gets it. The format is bbolt's version 2: pages of a header
// {id 8, flags 2, count 2, overflow 4}, little endian on every platform in use; two meta pages, of which the one with the
// higher transaction number counts; branch pages with elements {pos 4, key size 4, page 8} and leaf pages with
// {flags 4, pos 4, key size 4, value size 4}, pos counting from the element.
const (
	boltMagic      = 0xED0CDAED
	boltVersion    = 2
	boltHeader     = 16
	boltElement    = 16
	boltMeta       = 64 // bytes of a meta page; the last 8 are the checksum of the others
	boltBranch     = 1
	boltLeaf       = 2
	boltBucketFlag = 1
	boltBucketHead = 16 // {root page 8, sequence 8}; an inline bucket's page follows
	boltMaxDepth   = 32
	boltMaxPage    = 64 << 20 // with its overflow
	boltBuckets    = 2
)

// The store's buckets, and what may be in the one of stable values.
var (
	bucketLogs = []byte("logs")
	bucketConf = []byte("conf")
	stableKeys = [][]byte{keyServer, keyProbe, keyTerm, []byte("LastVoteTerm"), []byte("LastVoteCand")}
)

// boltFile is one file being read through.
type boltFile struct {
	source   io.ReaderAt
	pageSize uint64
	pages    uint64 // below the high water mark
	used     map[uint64]bool
	last     uint64 // index of the last entry read
	gap      uint64 // index of the last entry whose predecessor is not in the log; 0 for an empty log
}

// checkBoltFile returns what is wrong with the structure of a store's file; nothing for a file that doesn't exist, or is
// empty as a crash at its creation leaves it. It also returns the index of the last entry in the log whose predecessor is
// missing: there is one at its beginning, and one where a snapshot was received from the leader; 0 for an empty log.
func checkBoltFile(path string) (gap uint64, err error) {
	file, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return 0, err
	}
	if info.Size() == 0 {
		return 0, nil
	}
	f := &boltFile{source: file, pageSize: uint64(os.Getpagesize()), used: map[uint64]bool{}}
	root, err := f.metas(uint64(info.Size()))
	if err != nil {
		return 0, fmt.Errorf("%w: %s: %w", ErrDamaged, path, err)
	}
	if err := f.buckets(root); err != nil {
		return 0, fmt.Errorf("%w: %s: %w", ErrDamaged, path, err)
	}
	return f.gap, nil
}

// metas returns the root page that the newer meta page names. Both must be right, and one transaction apart: a power cut
// leaves them so, as each lies within one sector.
func (f *boltFile) metas(size uint64) (root uint64, err error) {
	var newest uint64
	var numbers [2]uint64
	for i := range uint64(2) {
		b := make([]byte, boltHeader+boltMeta)
		if _, err := f.source.ReadAt(b, int64(i*f.pageSize)); err != nil {
			return 0, fmt.Errorf("meta page %d: %w", i, err)
		}
		m := b[boltHeader:]
		sum := fnv.New64a()
		_, _ = sum.Write(m[:boltMeta-8])
		if binary.LittleEndian.Uint32(m) != boltMagic || binary.LittleEndian.Uint32(m[4:]) != boltVersion ||
			uint64(binary.LittleEndian.Uint32(m[8:])) != f.pageSize || binary.LittleEndian.Uint64(m[boltMeta-8:]) != sum.Sum64() {
			return 0, fmt.Errorf("meta page %d is not one", i)
		}
		numbers[i] = binary.LittleEndian.Uint64(m[48:])
		if i == 0 || numbers[i] > newest {
			newest, root, f.pages = numbers[i], binary.LittleEndian.Uint64(m[16:]), binary.LittleEndian.Uint64(m[40:])
		}
	}
	if numbers[0]+1 != numbers[1] && numbers[1]+1 != numbers[0] {
		return 0, fmt.Errorf("meta pages of transactions %d and %d", numbers[0], numbers[1])
	}
	if f.pages > size/f.pageSize {
		return 0, fmt.Errorf("%d pages in a file of %d bytes", f.pages, size)
	}
	return root, nil
}

// buckets reads the tree of buckets, then each bucket.
func (f *boltFile) buckets(root uint64) error {
	type bucket struct {
		name  []byte
		value []byte
	}
	var found []bucket
	err := f.tree(root, nil, nil, 0, func(flags uint32, key, value []byte) error {
		if flags != boltBucketFlag || len(value) < boltBucketHead {
			return fmt.Errorf("%q is no bucket", key)
		}
		found = append(found, bucket{bytes.Clone(key), bytes.Clone(value)})
		return nil
	})
	if err != nil {
		return err
	}
	if len(found) > boltBuckets {
		return fmt.Errorf("%d buckets", len(found))
	}
	for _, b := range found {
		check := f.checkLogItem
		switch {
		case bytes.Equal(b.name, bucketConf):
			check = checkStableItem
		case !bytes.Equal(b.name, bucketLogs):
			return fmt.Errorf("a bucket named %q", b.name)
		}
		var err error
		if page := binary.LittleEndian.Uint64(b.value); page != 0 {
			err = f.tree(page, nil, nil, 0, check)
		} else {
			err = leaf(b.value[boltBucketHead:], nil, nil, check)
		}
		if err != nil {
			return fmt.Errorf("bucket %s: %w", b.name, err)
		}
	}
	return nil
}

func (f *boltFile) checkLogItem(flags uint32, key, _ []byte) error {
	if flags != 0 || len(key) != 8 {
		return fmt.Errorf("%q is no index", key)
	}
	index := binary.BigEndian.Uint64(key)
	if index != f.last+1 || f.gap == 0 {
		f.gap = index
	}
	f.last = index
	return nil
}

func checkStableItem(flags uint32, key, _ []byte) error {
	if flags != 0 || !slices.ContainsFunc(stableKeys, func(k []byte) bool { return bytes.Equal(k, key) }) {
		return fmt.Errorf("%q is no stable value", key)
	}
	return nil
}

// page reads one page with its overflow; each is read once.
func (f *boltFile) page(id uint64) ([]byte, error) {
	head := make([]byte, boltHeader)
	if id < 2 || id >= f.pages {
		return nil, fmt.Errorf("page %d of %d", id, f.pages)
	}
	if _, err := f.source.ReadAt(head, int64(id*f.pageSize)); err != nil {
		return nil, fmt.Errorf("page %d: %w", id, err)
	}
	n := uint64(binary.LittleEndian.Uint32(head[12:])) + 1
	if binary.LittleEndian.Uint64(head) != id || n > f.pages-id || n*f.pageSize > boltMaxPage {
		return nil, fmt.Errorf("page %d calls itself %d, %d pages long", id, binary.LittleEndian.Uint64(head), n)
	}
	for i := range n {
		if f.used[id+i] {
			return nil, fmt.Errorf("page %d is used twice", id+i)
		}
		f.used[id+i] = true
	}
	b := make([]byte, n*f.pageSize)
	if _, err := f.source.ReadAt(b, int64(id*f.pageSize)); err != nil {
		return nil, fmt.Errorf("page %d: %w", id, err)
	}
	return b, nil
}

// tree reads a page and all below it. Keys are at least low and below high (nil for no bound), and rise.
func (f *boltFile) tree(id uint64, low, high []byte, depth int, check func(flags uint32, key, value []byte) error) error {
	if depth > boltMaxDepth {
		return errors.New("the tree is too deep")
	}
	b, err := f.page(id)
	if err != nil {
		return err
	}
	switch flags := binary.LittleEndian.Uint16(b[8:]); flags {
	case boltLeaf:
		if err := leaf(b, low, high, check); err != nil {
			return fmt.Errorf("page %d: %w", id, err)
		}
		return nil
	case boltBranch:
		return f.branch(id, b, low, high, depth, check)
	default:
		return fmt.Errorf("page %d has flags %#x", id, flags)
	}
}

func (f *boltFile) branch(id uint64, b, low, high []byte, depth int, check func(flags uint32, key, value []byte) error) error {
	n := int(binary.LittleEndian.Uint16(b[10:]))
	if n == 0 || boltHeader+n*boltElement > len(b) {
		return fmt.Errorf("page %d has %d branches", id, n)
	}
	keys, children := make([][]byte, n+1), make([]uint64, n)
	for i := range n {
		at := boltHeader + i*boltElement
		from := uint64(at) + uint64(binary.LittleEndian.Uint32(b[at:]))
		to := from + uint64(binary.LittleEndian.Uint32(b[at+4:]))
		if to > uint64(len(b)) {
			return fmt.Errorf("page %d: branch %d reaches beyond it", id, i)
		}
		keys[i], children[i] = b[from:to], binary.LittleEndian.Uint64(b[at+8:])
		if i == 0 && low != nil && bytes.Compare(keys[i], low) < 0 || i > 0 && bytes.Compare(keys[i], keys[i-1]) <= 0 ||
			high != nil && bytes.Compare(keys[i], high) >= 0 {
			return fmt.Errorf("page %d: key %x is out of order", id, keys[i])
		}
	}
	keys[n] = high
	for i, child := range children {
		if err := f.tree(child, keys[i], keys[i+1], depth+1, check); err != nil {
			return err
		}
	}
	return nil
}

// leaf reads the items of one leaf page.
func leaf(b, low, high []byte, check func(flags uint32, key, value []byte) error) error {
	if len(b) < boltHeader || binary.LittleEndian.Uint16(b[8:]) != boltLeaf {
		return errors.New("not a leaf")
	}
	n := int(binary.LittleEndian.Uint16(b[10:]))
	if boltHeader+n*boltElement > len(b) {
		return fmt.Errorf("%d items in %d bytes", n, len(b))
	}
	last := low
	for i := range n {
		at := boltHeader + i*boltElement
		from := uint64(at) + uint64(binary.LittleEndian.Uint32(b[at+4:]))
		middle := from + uint64(binary.LittleEndian.Uint32(b[at+8:]))
		to := middle + uint64(binary.LittleEndian.Uint32(b[at+12:]))
		if to > uint64(len(b)) {
			return fmt.Errorf("item %d reaches beyond the page", i)
		}
		key := b[from:middle]
		if order := bytes.Compare(key, last); i == 0 && order < 0 || i > 0 && order <= 0 ||
			high != nil && bytes.Compare(key, high) >= 0 {
			return fmt.Errorf("key %x is out of order", key)
		}
		if err := check(binary.LittleEndian.Uint32(b[at:]), key, b[middle:to]); err != nil {
			return err
		}
		last = key
	}
	return nil
}
