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

// Of the platform beside the witness.
const (
	// MaxListUpload is the length of a commune's list, in bytes: 100,000 electors of 400 bytes
	// fit; a file of 2 GB is refused after this much.
	MaxListUpload = 48 << 20
	// MaxDocument is the length of one document, MaxDocuments how many a commune has.
	MaxDocument  = 8 << 20
	MaxDocuments = 4096
	// MaxEntriesUpload is the length of one upload of entries, in bytes; MaxUploadCount how many
	// entries it has.
	MaxEntriesUpload = 4 << 20
	MaxUploadCount   = 4096
	// MaxSmall is the length of any other request, in bytes.
	MaxSmall = 512 << 10
	// MaxUploadedCheckpoints is how many checkpoints the principal bureau may leave of one epoch.
	MaxUploadedCheckpoints = 1 << 14
	// MaxFound is how many electors one look-up by name shows.
	MaxFound = 50
	// MaxChanges is how many changes one request makes, and MaxHistory how many one record keeps.
	MaxChanges = 1000
	MaxHistory = 64
	// MaxBadRows is how many refused rows an answer lists.
	MaxBadRows = 1000
	// MaxField is the length of one column of a list, in bytes.
	MaxField = 200
	// MaxSubjects is how many pseudonyms one log entry lists.
	MaxSubjects = 64
	// MaxPersonName is the length of a person's name or office, in bytes.
	MaxPersonName = 128
	// MaxCodeDays is how long an access code lives, in days.
	MaxCodeDays = 400
	// MaxSessions is how many people are signed in at once.
	MaxSessions = 4096
	// MaxWrongCodes is after how many wrong secrets a code has to wait.
	MaxWrongCodes = 5
	// MaxSignInsPerSecond and MaxSignInBurst bound all attempts to sign in together, those with
	// Here the attempts from one address.
	MaxSignInsPerSecond     = 50
	MaxSignInBurst          = 500
	MaxSignInsPerSecondHere = 2
	MaxSignInBurstHere      = 60
	// MaxRefusalsPerSecond and MaxRefusalBurst bound how many refused requests of people who
	// are not signed in are logged; the others are refused and counted.
	MaxRefusalsPerSecond = 20
	MaxRefusalBurst      = 500
	// MaxHandOvers is how many hand-overs one key has.
	MaxHandOvers = 32
	// MaxBackups is how many backups are remembered.
	MaxBackups = 1024

	firstTryWait = 30 * time.Second
	maxTryWait   = 30 * time.Minute
	sessionIdle  = 20 * time.Minute
	sessionLife  = 10 * time.Hour
	maxHashing   = 2
	shredBlock   = 1 << 16
	uploadTime   = 2 * time.Minute
)
