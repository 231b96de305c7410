# SPDX-License-Identifier: ISC
# shellcheck shell=sh
#
# What contrib/run, contrib/check and .ci/run share: which Debian packages are
# missing, installing them when that is allowed, and a quiet build out of
# tree. Sourced, never run; the caller sets `top`, the folder of the sources.
#
# From the environment:
#   BUILD=DIR        where to build (default: build/ in the sources)
#   PH_INSTALL=no    never install a package, only say what is missing
#   CC, CFLAGS       as for any configure

: "${top:?}"

# smtp-source, mkfs.ext4 and the like are outside of an ordinary user's PATH
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
export PATH

say() { printf '%s\n' "$*"; }
warn() { printf '%s\n' "$*" >&2; }

# One package a line: what it is for, its name, how to see that it is there.
# build: nothing works without it. test: its tests say SKIP without it.
# ci: only .ci/run looks for it. package: contrib/build-deb and contrib/test-deb.
# root: contrib/test-deb alone.
packages() {
	cat <<-'TABLE'
		build autoconf             command autoreconf
		build automake             command automake
		build make                 command make
		build gcc                  compiler
		build libc6-dev            header stdio.h
		build pkg-config           command pkg-config
		build libssl-dev           library openssl 3.0
		build libcurl4-openssl-dev library libcurl 7.88
		build libconfuse-dev       library libconfuse 3.3
		build libjansson-dev       library jansson 2.13
		build libevent-dev         library libevent_core 2.1
		build libxxhash-dev        library libxxhash 0.8
		build libgsasl-dev         library libgsasl 2.0
		build libcrypt-dev         library libcrypt 4.4
		build libncurses-dev       library ncursesw 6.0
		build check                library check 0.15
		build python3              command python3
		test  libpam0g-dev         library pam 1.3
		test  libseccomp-dev       library libseccomp 2.5
		test  dovecot-core         command dovecot
		test  dovecot-lmtpd        file /usr/lib/dovecot/lmtp
		test  python3-aiosmtpd     python aiosmtpd
		test  mandoc               command mandoc
		test  tmux                 command tmux
		test  zsh                  command zsh
		test  fish                 command fish
		test  openssl              command openssl
		test  curl                 command curl
		test  prometheus           command promtool
		test  swaks                command swaks
		test  gsasl                command gsasl
		test  libnet-ssleay-perl   perl Net::SSLeay
		test  python3-flufl.bounce python flufl.bounce
		test  postfix              command smtp-source
		test  haproxy              command haproxy
		test  mailman3             command mailman-wrapper
		test  microsocks           command microsocks
		test  sasl2-bin            command saslpasswd2
		test  systemd              command systemd-analyze
		test  e2fsprogs            command mkfs.ext4
		test  mount                command mount
		ci    xfsprogs             command mkfs.xfs
		ci    btrfs-progs          command mkfs.btrfs
		ci    clang                command clang
		ci    cppcheck             command cppcheck
		ci    shellcheck           command shellcheck
		ci    xz-utils             command xz
		package xz-utils           command xz
		package dpkg-dev           command dpkg-buildpackage
		package debhelper          command dh
		package lintian            command lintian
		root  debootstrap          command debootstrap
		root  util-linux           command unshare
	TABLE
}

have() {
	case $1 in
	command) command -v "$2" >/dev/null 2>&1 ;;
	compiler) command -v "${CC:-gcc}" >/dev/null 2>&1 || { [ -z "${CC:-}" ] && command -v cc >/dev/null 2>&1; } ;;
	header) [ -e "/usr/include/$2" ] ;;
	file) [ -e "$2" ] ;;
	python) command -v python3 >/dev/null 2>&1 && python3 -c "import $2" 2>/dev/null ;;
	perl) command -v perl >/dev/null 2>&1 && perl -M"$2" -e 1 2>/dev/null ;;
	library) command -v pkg-config >/dev/null 2>&1 && pkg-config --atleast-version="$3" "$2" 2>/dev/null ;;
	esac
}

# missing_packages KIND: the names, each with a space in front
missing_packages() {
	packages | while read -r kind name how what version; do
		[ "$kind" = "$1" ] || continue
		have "$how" "$what" "$version" || printf ' %s' "$name"
	done
}

# Sets as_root to the words that run a command as root; false when there are none.
find_root() {
	as_root=
	[ "${PH_INSTALL:-yes}" = no ] && return 1
	command -v apt-get >/dev/null 2>&1 || return 1
	[ "$(id -u)" = 0 ] && return 0
	as_root='sudo -n'
	command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null
}

# apt_install NAME...: nothing is asked, nothing is removed, no service is started.
apt_install() {
	# shellcheck disable=SC2086 # as_root is a list of words
	$as_root env DEBIAN_FRONTEND=noninteractive apt-get -y -q --no-remove --no-install-recommends \
		-o Dpkg::Use-Pty=0 -o Dpkg::Options::=--force-confold install "$@" </dev/null
}

# Postfix brings smtp-source and smtp-sink. It must come without a
# configuration. No service is started: not its, nor Dovecot's, HAProxy's or
# microsocks'.
install_packages() {
	apt_log=$(mktemp) || return 1
	policy=
	# shellcheck disable=SC2086
	{
		case " $* " in
		*' postfix '*)
			echo 'postfix postfix/main_mailer_type select No configuration' |
				$as_root debconf-set-selections || :
			;;
		esac
		if ! [ -e /usr/sbin/policy-rc.d ]; then
			policy=/usr/sbin/policy-rc.d
			printf '#!/bin/sh\nexit 101\n' | $as_root tee "$policy" >/dev/null &&
				$as_root chmod 755 "$policy"
		fi
		# without network the lists that are there may do
		$as_root apt-get -q update </dev/null >"$apt_log" 2>&1 || :
		status=0
		apt_install "$@" >>"$apt_log" 2>&1 || status=$?
		[ -z "$policy" ] || $as_root rm -f "$policy"
	}
	[ "$status" = 0 ] || tail -n 15 "$apt_log" >&2
	rm -f "$apt_log"
	return "$status"
}

# Makes sure of what KIND... need. False when something that the build needs is missing.
need_packages() {
	build_missing=
	other_missing=
	for kind; do
		list=$(missing_packages "$kind")
		if [ "$kind" = build ]; then build_missing=$list; else other_missing=$other_missing$list; fi
	done
	[ -n "$build_missing$other_missing" ] || return 0

	if find_root; then
		if [ -n "$build_missing" ]; then
			say "Installing what the build needs:$build_missing"
			# shellcheck disable=SC2086 # lists of words
			install_packages $build_missing || :
		fi
		if [ -n "$other_missing" ]; then
			say "Installing what some tests need:$other_missing"
			# shellcheck disable=SC2086
			install_packages $other_missing ||
				for one in $other_missing; do install_packages "$one" || :; done
		fi
		list=
		for kind; do
			if [ "$kind" = build ]; then build_missing=$(missing_packages build)
			else list=$list$(missing_packages "$kind"); fi
		done
		other_missing=$list
	fi
	[ -z "$other_missing" ] ||
		warn "Some tests will be skipped without:$other_missing
  apt-get install --no-install-recommends$other_missing"
	[ -z "$build_missing" ] ||
		warn "The build needs packages that are missing (or too old):
  apt-get install --no-install-recommends$build_missing"
	[ -z "$build_missing" ]
}

jobs_here() { nproc 2>/dev/null || echo 2; }

# build DIR CONFIGURE-OPTION...: configures when the options changed, then
# makes. Ordinary output goes to DIR/build.log, errors are shown.
build() {
	dir=$1
	shift
	mkdir -p -- "$dir" || return 1
	dir=$(CDPATH='' cd -- "$dir" && pwd -P) || return 1
	if ! [ -x "$top/configure" ] || ! [ -e "$top/Makefile.in" ] || ! [ -e "$top/build-aux/tap-driver.sh" ]; then
		(cd -- "$top" && autoreconf -i) >"$dir/build.log" 2>&1 || {
			cat "$dir/build.log" >&2
			return 1
		}
	fi
	# configure refuses a path with spaces to the sources, so it gets one without
	case $dir in
	"$top"/*/*) source=./.source ;;
	"$top"/*) source=.. ;;
	*) source=./.source ;;
	esac
	[ "$source" = .. ] || ln -sfn -- "$top" "$dir/.source" || return 1
	wanted="$top: $* CC=${CC:-} CFLAGS=${CFLAGS:-} LDFLAGS=${LDFLAGS:-}"
	if ! [ -x "$dir/config.status" ] || [ "$(cat "$dir/.configured" 2>/dev/null)" != "$wanted" ]; then
		(cd -- "$dir" && "$source/configure" -q "$@") >"$dir/build.log" 2>&1 </dev/null || {
			tail -n 30 "$dir/build.log" >&2
			return 1
		}
		printf '%s\n' "$wanted" >"$dir/.configured"
	fi
	(cd -- "$dir" && make -j"$(jobs_here)" all) >"$dir/build.log" </dev/null
}

# count_results DIR: sums the TAP results of every test under DIR into passed, failed, skipped
# shellcheck disable=SC2034 # they are for the caller
count_results() {
	counts=$(find "$1" -name '*.trs' -exec awk 'FNR == 1 { print "program" } { print }' {} + | awk '
		/^program$/ { cases = 0 }
		/^:test-result: (PASS|XFAIL)/ { passed++ }
		/^:test-result: (FAIL|XPASS)/ { failed++; cases++ }
		# behind failed cases it is their program'"'"'s exit status
		/^:test-result: ERROR/ && !cases { failed++ }
		/^:test-result: SKIP/ { skipped++ }
		END { print passed + 0, failed + 0, skipped + 0 }')
	passed=${counts%% *}
	skipped=${counts##* }
	failed=${counts#* }
	failed=${failed% *}
}
