//! Plans over contexts that are made up: each number is held against asking twice, user by user.
