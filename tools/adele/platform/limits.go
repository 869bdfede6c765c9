package platform

import "time"

// Every size, count and time-out of the platform has its maximum here.
const (
	// MaxBody is the length of a submission, in bytes: a checkpoint with a
	// hundred signatures and 63 hashes fits four times over.
	MaxBody = 64 << 10
	// MaxText is the length of a checkpoint's signed text, in bytes; it bounds
	// what one cosigned checkpoint costs for ever.
	MaxText = 4 << 10
	// MaxProof is how many hashes a consistency proof has (C2SP tlog-witness).
	MaxProof = 63
	// MaxOrigin is the length of an origin, in bytes.
	MaxOrigin = 512
	// MaxLogs is how many origins one platform knows: 19 communes, ten epochs
	// each, leave room for rehearsals.
	MaxLogs = 4096
	// MaxKeysPerLog is how many keys are trusted for one origin.
	MaxKeysPerLog = 4
	// MaxListFile is the length of a file that names logs, in bytes.
	MaxListFile = 4 << 20

	// MaxCosignedPerLog is how many cosigned checkpoints one log may leave
	// here. Beyond it nothing more is cosigned: what can't be kept is not
	// attested.
	MaxCosignedPerLog = 1 << 18
	// MaxRefusedPerLog is how many refused checkpoints with the log's own
	// signature are kept. Later ones are counted only: by then the log is
	// convicted thousands of times.
	MaxRefusedPerLog = 1 << 14
	// MaxUnsigned is how many submissions that no known log has signed are
	// kept; the newest stay. They prove nothing against a log, anybody can make
	// them.
	MaxUnsigned = 1 << 10

	// MaxNewPerSecond and MaxNewBurst bound checkpoints that were never shown
	// before; only the holder of the log's key can make them.
	MaxNewPerSecond = 200
	MaxNewBurst     = 1000
	// MaxRepeatsPerSecond and MaxRepeatsBurst bound what anybody can send again,
	// per log, so that it can't eat what the log itself needs.
	MaxRepeatsPerSecond = 50
	MaxRepeatsBurst     = 200
	// MaxUnsignedPerSecond and MaxUnsignedBurst bound how many unsigned
	// submissions are written down, all origins together.
	MaxUnsignedPerSecond = 20
	MaxUnsignedBurst     = 200

	// MaxRequests is how many requests are worked on at once; the next one
	// hears 503.
	MaxRequests = 128
	// MaxPage is how many records one reading returns.
	MaxPage = 64

	// MaxClockStep is how far the clock may stand behind the last cosignature
	// of a log. Up to here the last time is given again; beyond, nothing is
	// cosigned until the clock is right, which costs only the anchors' age.
	MaxClockStep = 5 * time.Second

	headerTimeout   = 5 * time.Second
	requestTimeout  = 15 * time.Second
	idleTimeout     = 2 * time.Minute
	shutdownTimeout = 10 * time.Second
	maxHeader       = 16 << 10
	memTableSize    = 4 << 20
	cacheSize       = 8 << 20
)
