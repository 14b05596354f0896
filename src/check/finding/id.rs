//! The kinds of findings.

use serde::{Deserialize, Serialize};

use super::Severity;

const BROKEN: &str = "Restore a snapshot or a backup with `anki-syncd restore`. If there is none: stop the server, move the file and its -wal and -shm files away, start the server, and choose Upload on the device with the complete collection.";

/// Makes an enum of the kinds of findings. Programs go by their names, which never change;
/// anki-syncd(8) lists them. The severity is the worst one: circumstances can make a finding milder.
/// A kind without a remedy here gets one that depends on circumstances, where it is found.
macro_rules! ids {
    ($($id:ident: $severity:ident $name:literal $(, $remedy:expr)?;)+) => {
        /// A kind of finding.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
        #[expect(missing_docs, reason = "each has a name, and an entry in anki-syncd(8)")]
        pub enum Id {
            $($id),+
        }

        impl Id {
            /// All kinds.
            pub const ALL: &[Self] = &[$(Self::$id),+];

            /// The name for programs and for anki-syncd(8).
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$id => $name),+
                }
            }

            /// The worst severity.
            pub fn severity(self) -> Severity {
                match self {
                    $(Self::$id => Severity::$severity),+
                }
            }

            /// The advice, as a sentence; empty if it depends on circumstances.
            pub fn remedy(self) -> &'static str {
                match self {
                    $(Self::$id => [$($remedy,)? ""][0]),+
                }
            }
        }
    };
}

ids! {
    // Settings, lists of users, and the service
    Settings: Problem "settings",
        "Correct it. Until then, the server does not start, and a running one keeps its former settings.";
    NotLookedAt: Note "not-looked-at";
    SettingsDoubtful: Warning "settings-doubtful", "Correct the setting.";
    NoUsers: Warning "no-users", "Run `anki-syncd user add NAME`.";
    IpHeaderNotBelieved: Warning "ip-header-not-believed",
        "List the proxy's address in trusted_proxies. If the proxy runs on this machine, remove trusted_proxies.";
    IpHeaderBelievedFromAnybody: Warning "ip-header-believed-from-anybody",
        "List only the proxy's own address.";
    UsersEntry: Problem "users-entry";
    UsersFileMissing: Problem "users-file-missing";
    UsersFileUnreadable: Problem "users-file-unreadable",
        "Write it as plain text in UTF-8, one name:password a line.";
    UsersFileLong: Warning "users-file-long",
        "Move the users to a file that the server's account can read, and set `users_file` in the configuration file to its path.";
    UsersFileOpen: Problem "users-file-open";
    UsersFileNotRoots: Warning "users-file-not-roots";
    UsersFileBom: Problem "users-file-bom", "Save the file as UTF-8 without BOM.";
    UsersFileCrlf: Warning "users-file-crlf";
    UsersFileTrailingSpace: Warning "users-file-trailing-space",
        "Remove it, unless the password really ends with one.";
    UsersFileOtherHash: Warning "users-file-other-hash",
        "Write the hash that `anki-syncd hash-password` prints, without quotation marks.";
    ServerSilent: Problem "server-silent", "Check again when it answers: some checks need the server.";
    ServerElsewhere: Problem "server-elsewhere",
        "If the setting was changed on purpose, run `systemctl restart anki-syncd`. Otherwise, `systemctl cat anki-syncd` shows where it is set.";
    ServiceFailed: Problem "service-failed",
        "Fix that, then run `systemctl restart anki-syncd`. `journalctl -u anki-syncd` shows more; mistakes in settings and files are also listed here.";
    ServiceNotListening: Warning "service-not-listening", "Run `systemctl enable --now anki-syncd.socket`.";
    AccountMissing: Problem "account-missing", "Create the account with `systemd-sysusers`.";
    UsersNotTakenOver: Warning "users-not-taken-over",
        "Run `systemctl restart anki-syncd`. Users whose password has changed then have to log in again.";
    // The socket
    SocketFailed: Problem "socket-failed";
    SocketOutdated: Warning "socket-outdated";
    SocketChanged: Problem "socket-changed";
    AddressIgnored: Warning "address-ignored";
    // The clock
    ClockUnsynchronised: Warning "clock-unsynchronised",
        "Turn synchronisation on with `timedatectl set-ntp true`; `timedatectl` shows whether it works.";
    ClockInThePast: Problem "clock-in-the-past",
        "Set the clock with `timedatectl set-time`, or synchronise it with `timedatectl set-ntp true`.";
    // Backups
    BackupFailed: Problem "backup-failed", "Fix that, then run `systemctl start anki-syncd-backup`.";
    BackupUnmounted: Problem "backup-unmounted", "Mount it. Until then, backups fail.";
    BackupFolderMissing: Problem "backup-folder-missing";
    BackupSameDisk: Warning "backup-same-disk", "Set backup_to to a folder on another disk.";
    BackupNotAllowed: Problem "backup-not-allowed";
    BackupTime: Warning "backup-time",
        "Run `systemctl daemon-reload && systemctl restart anki-syncd-backup.timer`. A time that you set with `systemctl edit` overrides the setting.";
    // Files
    BaseNotAFolder: Problem "base-not-a-folder", "Set SYNC_BASE (base) to the folder for the users' data.";
    BaseMissing: Note "base-missing",
        "If the server has never run, do nothing: it creates the folder. Otherwise set SYNC_BASE (base) to the folder with the data.";
    BaseShared: Problem "base-shared";
    BaseOpen: Warning "base-open";
    FilesOfOthers: Problem "files-of-others";
    FilesNotWritable: Problem "files-not-writable", "Run `check --repair`, or `chmod u+rwX`.";
    LinkOutOfBase: Problem "link-out-of-base",
        "Move its target into the data folder, or move the whole data folder there.";
    Link: Warning "link", "Replace the link with its target.";
    TemporaryLeft: Note "temporary-left", "Start the server, or run `check --repair`.";
    SecretOpen: Problem "secret-open",
        "Run `chmod 600` on it. If somebody may have read it, remove it and restart the server; all devices then have to log in again.";
    SecretDamaged: Problem "secret-damaged",
        "Put back a copy of it. Or remove it: the server then makes a new one, and all devices have to log in again.";
    FolderWithoutUser: Note "folder-without-user",
        "If the name is misspelt in the list of users, correct it. Otherwise keep or remove the folder.";
    // The file system
    FileSystemWithoutOwners: Problem "file-system-without-owners";
    FileSystemWithoutCase: Note "file-system-without-case";
    UsersShareAFolder: Problem "users-share-a-folder";
    // Room on the disk
    DiskReadOnly: Problem "disk-read-only",
        "Mount it writable. It may be read-only because the disk failed: look at `dmesg` first.";
    DiskFewInodes: Problem "disk-few-inodes",
        "Remove files from this file system, or move the data to a larger one.";
    DiskFull: Problem "disk-full", "Free space on the disk, or move the data to a larger one.";
    DiskNearlyFull: Warning "disk-nearly-full", "Free space on the disk, or move the data to a larger one.";
    QuotaExceeded: Warning "quota-exceeded", "Raise quota_megs, or ask the user to delete media.";
    // Users' data
    DataMissing: Problem "data-missing";
    // Collections
    CollectionEmptyFile: Problem "collection-empty-file", BROKEN;
    CollectionUnlikeAnki: Problem "collection-unlike-anki", BROKEN;
    CollectionOverLimit: Warning "collection-over-limit";
    CollectionNearLimit: Note "collection-near-limit";
    JournalLeft: Warning "journal-left",
        "Keep the files together. The next sync, or `check --repair`, merges them.";
    CollectionLocked: Problem "collection-locked",
        "End that program. Two servers must not use the same data folder.";
    CollectionForeignObjects: Warning "collection-foreign-objects",
        "If an add-on made them, do nothing. Otherwise find out which program writes to the collection.";
    CollectionFromTheFuture: Warning "collection-from-the-future",
        "Check the clocks (`timedatectl`). The finding disappears when that time has passed.";
    CollectionComputes: Problem "collection-computes",
        "`check --repair`, or the next sync, removes them; no row is lost. Then check again.";
    CollectionIdsRepeated: Problem "collection-ids-repeated",
        "On the device with the complete collection, run Tools > Check Database until it finds nothing, then upload. Or restore a snapshot or a backup with `anki-syncd restore`.";
    CollectionTablesRewritten: Problem "collection-tables-rewritten",
        "`check --repair` rebuilds them with all their rows; devices then sync again.";
    CollectionWrongValue: Problem "collection-wrong-value",
        "Upload from a device on which Anki opens the collection. Or restore a snapshot or a backup with `anki-syncd restore`.";
    CollectionSchemaOlder: Note "collection-schema-older", "Nothing: the next sync upgrades it.";
    CollectionSchemaUnknown: Problem "collection-schema-unknown",
        "Update this server, or upload the collection again from a current Anki.";
    CollectionIncomplete: Problem "collection-incomplete", BROKEN;
    CollectionDamaged: Problem "collection-damaged", BROKEN;
    CollectionForeign: Problem "collection-foreign", BROKEN;
    CollectionUnsent: Problem "collection-unsent",
        "`check --repair` sends them to the devices at their next sync. Do not open the server's collection with Anki itself.";
    CollectionUnsentDeletions: Problem "collection-unsent-deletions",
        "Not repaired automatically, since cards could be lost: upload from the device with the complete collection (in Anki: Preferences > Syncing > force changes in one direction).";
    // Media
    MediaDatabaseMissing: Problem "media-database-missing",
        "`check --repair` records them again. Then log out and in on every device, so that it compares all its media.";
    MediaBatchInterrupted: Note "media-batch-interrupted",
        "Nothing to do: the next sync of media, or `check --repair`, completes or undoes the batch.";
    MediaDifferInCase: Problem "media-differ-in-case",
        "Move SYNC_BASE to a disk with ext4, XFS or Btrfs, and restore the files from a device or backup. Or rename one file of each pair in Anki.";
    MediaDatabaseOlder: Note "media-database-older",
        "Nothing to do: the next sync of media upgrades it. Check again afterwards.";
    MediaDatabaseEmpty: Note "media-database-empty",
        "Nothing to do: the next sync of media makes them. Check again afterwards.";
    MediaDatabaseUnknown: Problem "media-database-unknown", "Update this server.";
    MediaDatabaseSums: Problem "media-database-sums", "`check --repair` recomputes them.";
    MediaDatabaseDamaged: Problem "media-database-damaged",
        "Stop the server, move media.db away, and run `check --repair`, which records all files again. Then log out and in on every device.";
    MediaMissing: Problem "media-missing",
        "Restore them from a backup. Otherwise run `check --repair`, which removes them from media.db; a device that has them then sends them again.";
    MediaExtra: Problem "media-extra",
        "Run `check --repair`, which records them, so that devices fetch them. Or move away files that do not belong there.";
    MediaChanged: Problem "media-changed",
        "Restore them from a backup. Otherwise run `check --repair`, which moves them to .anki-syncd/set-aside; a device that has undamaged copies then sends them again.";
    MediaName: Warning "media-name", "Rename them, or add them to a card in Anki.";
    MediaLarge: Warning "media-large", "Shrink them, or move them away.";
    MediaNotAFile: Warning "media-not-a-file", "Move them away. The media folder can contain only files.";
    MediaEmpty: Note "media-empty", "Remove them.";
    MediaHidden: Note "media-hidden", "Nothing to do; you can remove them.";
    DiskFailing: Problem "disk-failing",
        "The kernel's log (`dmesg`) shows whether the disk fails. Copy the data folder to another disk while that is possible, then check again.";
    // Addresses
    LoginWorks: Note "login-works", "Nothing to do.";
    LoginAnswered: Note "login-answered", "Add --user NAME to test whether that user can log in.";
    UrlInvalid: Problem "url-invalid",
        "Write it like http://192.168.1.10:8080/ : http:// or https://, the name or IP address, a colon and the port unless it is the usual one, and a slash.";
    UrlWithSync: Problem "url-with-sync",
        "In Anki, leave sync out. Only Anki before 2.1.57 needs it, in its two addresses.";
    UrlWithoutSlash: Problem "url-without-slash";
    Tls12Missing: Warning "tls-1.2-missing",
        "Allow TLS 1.2 as well as 1.3: `ssl_protocols TLSv1.2 TLSv1.3;` in nginx.";
    LoginUnknownHost: Problem "login-unknown-host", "Check the spelling, or use the IP address.";
    LoginRefused: Problem "login-refused",
        "Check that the server is running (`anki-syncd status`), and that it listens on this address and port (ListenStream= of anki-syncd.socket; without systemd, `host` and `port`).";
    LoginTimeout: Problem "login-timeout",
        "Check the address and the firewall. If the server accepts the connection but sends no answer, see its log.";
    LoginFailed: Problem "login-failed",
        "Check the address and the port, and whether it has to be https:// or http://.";
    LoginNeedsTls: Problem "login-needs-tls", "Write https:// in place of http://.";
    LoginNotTls: Problem "login-not-tls",
        "Write http:// in place of https://, or put a proxy with a certificate in front.";
    LoginCertificate: Problem "login-certificate";
    LoginTlsVersion: Problem "login-tls-version", "Allow TLS 1.2 and 1.3 in the proxy.";
    LoginTls: Problem "login-tls", "See the log of the proxy. Most often its certificate or key is missing.";
    LoginForeign: Problem "login-foreign";
    LoginNotFound: Problem "login-not-found",
        "Check the path of the address and its slash at the end. Check how the proxy passes the path on: in nginx, `location /anki/` needs a slash at the end of `proxy_pass`.";
    LoginRedirected: Problem "login-redirected",
        "Type the address that it redirects to into Anki. Most often it is the same with https://.";
    LoginPage: Problem "login-page";
    LoginGateway: Problem "login-gateway",
        "Check that the server is running (`anki-syncd status`), and that the proxy has the right address of it.";
    LoginTooLarge: Problem "login-too-large";
    LoginHeaderLost: Problem "login-header-lost",
        "Configure the proxy to pass on all headers, and to show no login page of its own.";
    LoginWrong: Problem "login-wrong",
        "Compare both with the list of users, letter by letter. If you change the list, run `systemctl reload anki-syncd`.";
    LoginSlowedDown: Warning "login-slowed-down", "Wait a minute, then check again.";
}
